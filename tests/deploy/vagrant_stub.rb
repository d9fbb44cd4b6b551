# Stands in for Vagrant: reads a Vagrantfile, and prints as JSON what it says of each machine. Any setting is taken.
require "json"

# A part of the configuration: keeps what is assigned, and what is called on it.
class Part
  attr_reader :set

  def initialize
    @set = {}
  end

  def method_missing(name, *words)
    return @set[name.to_s.chomp("=")] = words.first if name.end_with?("=")

    @set[name.to_s] ||= Part.new
  end

  def respond_to_missing?(*)
    true
  end

  def to_json(*words)
    @set.to_json(*words)
  end
end

# Triggers, of which only what they run counts.
class Triggers < Part
  def before(*actions)
    yield trigger = Part.new
    (@set["before"] ||= []) << trigger.set.merge("actions" => actions)
  end
end

# config.vm
class Machine < Part
  def define(name, **options, &block)
    machine = Config.new
    block.call(machine)
    (@set["define"] ||= []) << { "name" => name, "options" => options, "vm" => machine.vm, "trigger" => machine.trigger }
  end

  def provider(name)
    part = Part.new
    override = Config.new
    yield part, override
    (@set["provider"] ||= {})[name] = part
    (@set["override"] ||= {})[name] = override.vm
  end

  def provision(name, **options)
    part = Part.new
    yield part if block_given?
    (@set["provision"] ||= []) << { "name" => name, "options" => options, "config" => part }
  end

  def network(type, **options)
    (@set["network"] ||= []) << options.merge("type" => type)
  end

  def synced_folder(*words, **options)
    (@set["synced_folder"] ||= []) << [*words, options]
  end
end

class Config < Part
  def vm
    @set["vm"] ||= Machine.new
  end

  def trigger
    @set["trigger"] ||= Triggers.new
  end
end

module Vagrant
  def self.configure(_version)
    yield config = Config.new
    puts config.to_json
  end
end

load ARGV.fetch(0)
