"""A run that never happened: journals, counters and trees of Figure 2A, made by arithmetic, to judge and to draw."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from overlaycast.document import placed_yaml
from overlaycast.lab.experiment.casting import cast as choose
from overlaycast.lab.experiment.casting import castable
from overlaycast.lab.experiment.experiment import Cast, Experiment, parse
from overlaycast.lab.faults.tree import Seat, Tree
from overlaycast.lab.recording import journals as j
from overlaycast.lab.recording.observe import network_seen
from overlaycast.lab.recording.recording import CounterSample, FaultDone, FileSeen, LinkTraffic, NetworkSeen, Recording
from overlaycast.lab.topology.loading import load_topology
from overlaycast.lab.topology.topology import Topology
from overlaycast.wire.journal import (
    Begun,
    Entry,
    Fed,
    FellSilent,
    RecordsLost,
    Sample,
    SinkLatency,
    Started,
    StreamEnd,
    Summary,
    Switched,
    Welcomed,
)

ROOT = Path(__file__).parents[2]
T0 = 1_700_000_000.0
RECORD = 7896
PER_STEP = 25  # records per 200 ms: 7.9 Mbit/s
STEPS = 150

START = {
    "202a": "source",
    "202b": "202a",
    "202c": "202a",
    "202d": "202a",
    "202e": "202d",
    "202f": "202d",
    "202g": "source",
    "202h": "202g",
    "202i": "202g",
    "202j": "source",
    "202k": "202j",
    "202l": "source",
    "202m": "202l",
}
AFTER_KILL = START | {"202b": "backup", "202c": "202b", "202d": "202b"}
AFTER_SILENCE = AFTER_KILL | {"202h": "backup", "202i": "202h"}
del AFTER_KILL["202a"]
del AFTER_SILENCE["202a"]
DIGEST = "ab" * 32
MEDIA = (("h264", 750), ("aac", 1408))


@dataclass
class Story:
    """What is to have happened; tests change a little of it and look at what is concluded."""

    start: dict[str, str] = field(default_factory=lambda: dict(START))
    after_kill: dict[str, str] = field(default_factory=lambda: dict(AFTER_KILL))
    after_silence: dict[str, str] = field(default_factory=lambda: dict(AFTER_SILENCE))
    kill_gap_ms: float = 41.0
    silence_gap_ms: float = 118.0
    lost: dict[str, int] = field(default_factory=dict)
    twice: dict[str, int] = field(default_factory=dict)
    copies_into: dict[str, int] = field(default_factory=dict)
    wrong_file: set[str] = field(default_factory=set)


def experiment() -> tuple[Experiment, Cast, NetworkSeen]:
    """Return the real experiment's file, cast on the real topology."""
    document = placed_yaml.read(ROOT / "experiments" / "figure-2a.yaml")
    chosen = parse(document)
    network = topology()
    cast = choose(document, chosen, castable(network))
    means = {link.name: "wire" if link.uplink_of else "none" for link in network.links}
    return chosen, cast, network_seen(network, cast, means)


def topology() -> Topology:
    """Return the network of Figure 2A."""
    return load_topology(ROOT / "topologies" / "figure_2a.py")


def ids(cast: Cast) -> dict[str, int]:
    """Return the made-up member ids."""
    return {host: number for number, host in enumerate(cast.members, 1)}


def tree(edges: dict[str, str], cast: Cast, network: NetworkSeen, epoch: int) -> Tree:
    """Return a tree with these child -> parent edges; the source and the backup are in it too."""
    number = ids(cast)
    parents = {cast.source: None, **dict.fromkeys(cast.backups, cast.source), **edges}

    def depth(host: str) -> int:
        parent = parents.get(host)
        return 0 if parent is None else 1 + depth(parent)

    seats = []
    for host, parent in parents.items():
        role = "source" if host == cast.source else "backup" if host in cast.backups else "peer"
        seats.append(
            Seat(
                id=number[host],
                host=host,
                role=role,
                site=network.site_of(host),
                parent=number[parent] if parent else None,
                primary=parent == cast.source and role == "peer",
                depth=depth(host),
                rank=number[host] * 1000,
                state="streaming",
            )
        )
    return Tree(epoch, tuple(seats))


def recording(story: Story | None = None) -> Recording:
    """Return the run: a kill at 10 s, a silent death at 20 s, END at 30 s."""
    story = story or Story()
    chosen, cast, network = experiment()
    number = ids(cast)
    journals = {host: _receiver(story, host, number) for host in cast.peers}
    journals[cast.source] = _source(cast.source, number)
    before, middle, after = (
        tree(edges, cast, network, epoch)
        for epoch, edges in enumerate((story.start, story.after_kill, story.after_silence), 3)
    )
    sent = FileSeen(RECORD * PER_STEP * STEPS, DIGEST, MEDIA)
    return Recording(
        experiment=chosen,
        cast=cast,
        system="overlay",
        seed=1,
        command="overlaycast lab run experiments/figure-2a.yaml --seed 1",
        versions={"overlaycast": "0.1.0", "python": "3.11.2", "kernel": "6.18.0"},
        started=T0 - 9,
        ended=T0 + 34,
        network=network,
        shaping={"means": {"wire": 4, "none": 24}, "lateness_ms": {"p50": 0.08, "p99": 0.9}, "drops": 0},
        fidelity=[
            {
                "link": link.name,
                "asked": {"rate_mbit": 20, "delay_ms": 5},
                "measured": {"rate_mbit": 19.8, "delay_ms": 5.1},
                "ok": True,
            }
            for link in network.links
            if link.site
        ],
        multicast_blocked=True,
        journals=journals,
        counters=_counters(story, network),
        start_tree=before,
        faults=[
            _fault("primary-dies", "kill", "primary-with-largest-branch", "202a", 10, before, middle),
            _fault("silent-death", "link-down", "another-forwarder", "202g", 20, middle, after),
        ],
        sent=sent,
        received={
            host: FileSeen(sent.size, "00" * 32 if host in story.wrong_file else DIGEST, MEDIA) for host in cast.peers
        },
        control_bytes=412_000,
        control_messages=1900,
    )


def _fault(name: str, action: str, asked: str, target: str, at: float, before: Tree, after: Tree) -> FaultDone:
    return FaultDone(name, action, asked, target, T0 + at, "seen to be gone", (target,), (target,), None, before, after)


def _samples(until: int, written_twice: int = 0, gaps: dict[int, float] | None = None) -> list[Entry]:
    found: list[Entry] = []
    for step in range(1, until + 1):
        records = PER_STEP * step
        more = written_twice if step > 60 else 0
        found.append(
            Sample(
                t=T0 + 0.2 * step,
                bytes=RECORD * (records + more),
                records=records + more,
                next_seq=records,
                gap_ms=(gaps or {}).get(step, 9.0 + step % 3),
                latency_ms=11.0 + step % 5,
            )
        )
    return found


def _source(host: str, number: dict[str, int]) -> j.Journal:
    total = PER_STEP * STEPS
    entries: list[Entry] = [
        Started(t=T0 - 5, role="source", name=host),
        Welcomed(t=T0 - 4, member=number[host]),
        Begun(t=T0, next_seq=0, incarnation=1),
        Sample(t=T0, bytes=0, records=0, next_seq=0),
        *_samples(STEPS),
        StreamEnd(t=T0 + 0.2 * STEPS, next_seq=total, sha256=DIGEST),
        Summary(t=T0 + 31, received=total, sha256=DIGEST, bytes=total * RECORD),
    ]
    return j.Journal(host, tuple(entries))


def _receiver(story: Story, host: str, number: dict[str, int]) -> j.Journal:
    until = {"202a": 50, "202g": 100}.get(host, STEPS)
    gaps: dict[int, float] = {}
    entries: list[Entry] = [
        Welcomed(t=T0 - 3, member=number[host]),
        Fed(t=T0 - 1, parent=number[story.start[host]]),
    ]
    for at, step, gap, dead, after in (
        (10.0, 51, story.kill_gap_ms, "202a", story.after_kill),
        (20.0, 101, story.silence_gap_ms, "202g", story.after_silence),
    ):
        entries += _failover(story, host, number, at, gap, dead, after)
        if host in ("202b", "202c", "202d", "202e", "202f") and dead == "202a":
            gaps[step] = gap
        if host in ("202h", "202i") and dead == "202g":
            gaps[step] = gap
    lost = story.lost.get(host, 0)
    if lost:
        entries.append(RecordsLost(t=T0 + 12, from_seq=100, to_seq=100 + lost))
    entries += _samples(until, story.twice.get(host, 0), gaps)
    if until == STEPS:
        entries += _ending(story, host, lost, gaps)
    return j.Journal(host, tuple(sorted(entries, key=lambda entry: entry.t)))


def _failover(
    story: Story, host: str, number: dict[str, int], at: float, gap: float, dead: str, after: dict[str, str]
) -> list[Entry]:
    before = story.start if dead == "202a" else story.after_kill
    if host not in after or before.get(host) == after[host]:
        return []
    t = T0 + at + gap / 1000
    old, new = number[before[host]], number[after[host]]
    return [
        FellSilent(t=t - 0.012, parent=old, silent_ms=gap - 12),
        Switched.model_validate({"t": t, "from": old, "to": new, "reason": "reset", "gap_ms": gap}),
        Fed(t=t, parent=new),
    ]


def _ending(story: Story, host: str, lost: int, gaps: dict[int, float]) -> list[Entry]:
    total = PER_STEP * STEPS
    longest = max([11.0, *gaps.values()])
    return [
        StreamEnd(t=T0 + 0.2 * STEPS + 0.02, next_seq=total, sha256=DIGEST),
        Summary(
            t=T0 + 31,
            first_seq=0,
            next_seq=total,
            expected=total,
            received=total - lost,
            lost=lost,
            duplicated=story.twice.get(host, 0),
            digest_ok=host not in story.wrong_file,
            latency_ms=SinkLatency(p50=12.4, p99=31.0, max=longest + 12),
            longest_gap_ms=longest,
            longest_gap_at=T0 + 10,
            bytes=total * RECORD,
        ),
    ]


def _counters(story: Story, network: NetworkSeen) -> list[CounterSample]:
    """Each site's uplink carries one copy inwards, or as many as the story says; packets of 1448 bytes of payload."""
    found = []
    for step in range(-1, STEPS + 6):
        above_tcp = (RECORD + 24) * PER_STEP * min(max(step, 0), STEPS)
        links = {}
        for link in network.links:
            copies = story.copies_into.get(link.site, 1) if link.site else 0
            packets = above_tcp * copies // 1448
            inwards = above_tcp * copies + 66 * packets
            acks = packets // 2
            ab = link.into_site == "ab"
            there, back = (inwards, packets), (66 * acks, acks)
            links[link.name] = LinkTraffic(*(there + back if ab else back + there))
        found.append(CounterSample(T0 + 0.2 * step, links))
    return found
