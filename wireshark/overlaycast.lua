-- Wireshark dissector of overlaycast's data link (layout: overlaycast/wire/frames.py).
-- Load it:  wireshark -X lua_script:wireshark/overlaycast.lua capture.pcap      (tshark takes the same flag)
-- Links are found by their first frame (KNOCK, HELLO or CALL), so no port needs to be named; "Decode As…" works too.

local overlaycast = Proto("overlaycast", "overlaycast data link")

local HEADER = 24
local KINDS = { [1] = "HELLO", [2] = "START", [3] = "STOP", [4] = "DATA", [5] = "HEARTBEAT", [6] = "END", [7] = "REFUSE", [8] = "CALL", [9] = "DIGESTS", [10] = "CHALLENGE", [11] = "PROOF", [12] = "KNOCK", [13] = "ENTER", [14] = "OFFER" }
local REFUSALS = { [1] = "version", [2] = "unknown grant", [3] = "full", [4] = "rank", [5] = "gone", [6] = "leaving", [7] = "protocol" }
local LARGEST = 65536

local f = {
  kind = ProtoField.uint8("overlaycast.kind", "Kind", base.DEC, KINDS),
  flags = ProtoField.uint8("overlaycast.flags", "Flags", base.HEX),
  stalled = ProtoField.bool("overlaycast.stalled", "Stalled", 8, nil, 0x01),
  seek = ProtoField.bool("overlaycast.seek", "Seek", 8, nil, 0x02),
  late = ProtoField.bool("overlaycast.late", "Late", 8, nil, 0x04),
  ended = ProtoField.bool("overlaycast.ended", "Ended", 8, nil, 0x08),
  wants_digests = ProtoField.bool("overlaycast.wants_digests", "Wants digests", 8, nil, 0x01),
  code = ProtoField.uint8("overlaycast.refuse_code", "Refusal", base.DEC, REFUSALS),
  incarnation = ProtoField.uint16("overlaycast.incarnation", "Incarnation"),
  length = ProtoField.uint32("overlaycast.length", "Payload length"),
  seq = ProtoField.uint64("overlaycast.seq", "Record number"),
  time = ProtoField.absolute_time("overlaycast.time", "Source time", base.UTC),
  payload = ProtoField.bytes("overlaycast.payload", "Payload"),
  version = ProtoField.uint8("overlaycast.version", "Protocol version"),
  rank = ProtoField.uint64("overlaycast.rank", "Rank"),
  grant = ProtoField.bytes("overlaycast.grant", "Grant"),
  oldest = ProtoField.uint64("overlaycast.oldest", "Oldest record held"),
  first_seq = ProtoField.uint64("overlaycast.first_seq", "First record"),
  digest = ProtoField.bytes("overlaycast.digest", "Digest"),
  nonce = ProtoField.bytes("overlaycast.nonce", "Nonce"),
  calls = ProtoField.bool("overlaycast.calls", "The parent dials", 8, nil, 0x01),
  epoch = ProtoField.uint64("overlaycast.epoch", "Epoch of the order"),
  child = ProtoField.uint64("overlaycast.child", "Child"),
  parent = ProtoField.uint64("overlaycast.parent", "Parent"),
  proof = ProtoField.bytes("overlaycast.proof", "Proof of the grant"),
}
overlaycast.fields = f

-- the marks that stand for a place instead of a record
local MARKS = { ["ffffffffffffffff"] = "idle", ["fffffffffffffffe"] = "edge", ["fffffffffffffffd"] = "oldest" }

local function seq_text(range)
  local mark = MARKS[tostring(range:bytes()):lower()]
  if not mark and range(0, 4):uint() == 0xc0000000 then mark = range(4, 4):uint() .. " ms back" end
  return mark or tostring(range:uint64())
end

local function dissect_body(kind, body, tree)
  if kind == 1 then
    tree:add(f.version, body(4, 1))
    tree:add(f.rank, body(8, 8))
    tree:add(f.grant, body(16, 16))
  elseif kind == 4 then
    tree:add(f.payload, body)
  elseif kind == 5 or kind == 7 then
    tree:add(f.oldest, body(0, 8))
  elseif kind == 6 then
    tree:add(f.first_seq, body(0, 8))
    tree:add(f.digest, body(8, 32))
  elseif kind == 8 then
    tree:add(f.grant, body(0, 16))
  elseif kind == 9 or kind == 11 then
    tree:add(f.digest, body)
  elseif kind == 10 then
    tree:add(f.nonce, body)
  elseif kind == 12 then
    tree:add(f.version, body(4, 1))
    tree:add(f.nonce, body(8, 16))
  elseif kind == 13 then
    tree:add(f.rank, body(0, 8))
    tree:add(f.epoch, body(8, 8))
    tree:add(f.child, body(16, 8))
    tree:add(f.proof, body(24, 32))
  elseif kind == 14 then
    tree:add(f.parent, body(0, 8))
    tree:add(f.epoch, body(8, 8))
    tree:add(f.proof, body(16, 32))
  end
end

local function dissect_frame(buffer, pinfo, root)
  local kind, length = buffer(0, 1):uint(), buffer(4, 4):uint()
  local name = KINDS[kind] or "unknown"
  local place = seq_text(buffer(8, 8))
  local tree = root:add(overlaycast, buffer(0, HEADER + length), "overlaycast " .. name)
  tree:add(f.kind, buffer(0, 1))
  local flags = tree:add(f.flags, buffer(1, 1))
  if kind == 5 then
    flags:add(f.stalled, buffer(1, 1))
    flags:add(f.seek, buffer(1, 1))
    flags:add(f.late, buffer(1, 1))
    flags:add(f.ended, buffer(1, 1))
  end
  if kind == 12 then flags:add(f.calls, buffer(1, 1)) end
  if kind == 1 or kind == 2 or kind == 13 then flags:add(f.wants_digests, buffer(1, 1)) end
  if kind == 7 then flags:add(f.code, buffer(1, 1)) end
  tree:add(f.incarnation, buffer(2, 2))
  tree:add(f.length, buffer(4, 4))
  tree:add(f.seq, buffer(8, 8)):append_text(" (" .. place .. ")")
  if kind == 4 or kind == 6 then
    local micros = buffer(16, 8):uint64()
    local seconds = (micros / 1000000):tonumber()
    tree:add(f.time, buffer(16, 8), NSTime.new(seconds, (micros % 1000000):tonumber() * 1000))
  end
  if length > 0 then dissect_body(kind, buffer(HEADER, length), tree) end
  pinfo.cols.info:append(" " .. name .. (kind == 3 and "" or "(" .. place .. ")"))
end

local function frame_length(buffer, _, offset)
  return HEADER + buffer(offset + 4, 4):uint()
end

local function dissect_one(buffer, pinfo, tree)
  if not KINDS[buffer(0, 1):uint()] or buffer(4, 4):uint() > LARGEST then
    tree:add(overlaycast, buffer(), "overlaycast: not a frame")
    return buffer:len()
  end
  dissect_frame(buffer, pinfo, tree)
  return HEADER + buffer(4, 4):uint()
end

function overlaycast.dissector(buffer, pinfo, tree)
  pinfo.cols.protocol = "overlaycast"
  pinfo.cols.info:set("")
  dissect_tcp_pdus(buffer, tree, HEADER, frame_length, dissect_one)
  return buffer:len()
end

-- A link opens with KNOCK or, in version 1, with HELLO (both have "OCST" in their payload) or, where the parent dials,
-- with CALL (16 bytes of grant).
local function opens_a_link(buffer)
  if buffer:len() < HEADER + 4 then return false end
  local kind, length = buffer(0, 1):uint(), buffer(4, 4):uint()
  return (((kind == 1 and length == 32) or (kind == 12 and length == 24)) and buffer(HEADER, 4):string() == "OCST")
    or (kind == 8 and length == 16 and buffer(1, 1):uint() == 0)
end

overlaycast:register_heuristic("tcp", function(buffer, pinfo, tree)
  if not opens_a_link(buffer) then return false end
  pinfo.conversation = overlaycast
  overlaycast.dissector(buffer, pinfo, tree)
  return true
end)

DissectorTable.get("tcp.port"):add_for_decode_as(overlaycast)
