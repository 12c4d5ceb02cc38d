"""Serves spela-mcu from within Renode: included by the monitor, run by its IronPython (2.7).

It connects to the local port that the environment names, so that Renode itself listens on none. A
request is a count of fields (u32), then every field as its length (u32) and its bytes; the first is
the name of a function below. An answer is a byte, 0 for success or 1 for an error, then length
(u32) and bytes.

Renode polls a terminal only between quanta of virtual time, and waits 100 ms whenever the emulation
starts. So bytes go into and out of the UART directly, and time runs only within a request: from its
first byte to the last of the answer, where the core is halted. A waiting board costs nothing, and
what it executes does not depend on the speed of the host.
"""

import clr
import System
from System import Array, BitConverter, Byte, Convert, Environment
from System.Diagnostics import Stopwatch
from System.Net.Sockets import TcpClient
from System.Text import Encoding
from System.Threading import Thread, ThreadStart

from Antmicro.Renode.Core import EmulationManager
from Antmicro.Renode.Logging import Logger, LoggerBackend, LogLevel
from Antmicro.Renode.Peripherals.CPU import CpuAddressHook
from Antmicro.Renode.Peripherals.UART import IUART
from Antmicro.Renode.Time import TimeInterval
from Antmicro.Renode.UserInterface import CommandInteractionEater

# A million instructions: far more than an answer takes to send, yet over soon when the firmware
# does nothing but poll a register.
QUANTUM = TimeInterval.FromMicroseconds(10000)
MIPS = 100

# An access to an unmapped address: Renode warns, reads 0 and goes on. Tags stand for what a board
# has but Renode does not model.
STRAY = " non existing peripheral at "
TAG = "(tag: "
ABORT = "CPU abort"
WARNINGS_KEPT = 8


def emulation():
    return EmulationManager.Instance.CurrentEmulation


class Board(object):
    """A machine whose UART we hold; it runs only during a request."""

    def __init__(self, machine, uart):
        self.machine = machine
        self.bus = machine["sysbus"]
        self.cpu = machine["sysbus.cpu"]
        self.cpu.PerformanceInMips = MIPS
        self.uart = clr.Convert(machine["sysbus." + uart], IUART)
        self.uart.CharReceived += self.take
        self.sent = []
        self.running = False
        self.problem = None
        self.warnings = []
        self.counter = None

    def run(self, milliseconds):
        watch = Stopwatch.StartNew()
        self.running = True
        self.cpu.IsHalted = False
        while self.running:
            self.machine.Start()
            emulation().MasterTimeSource.RunFor(QUANTUM)
            self.machine.Pause()
            if watch.ElapsedMilliseconds >= milliseconds:
                self.running = False

    def stop(self):
        """Ends the run at once; called during it, by the thread of the core."""
        if self.running:
            self.running = False
            self.cpu.IsHalted = True

    def take(self, byte):
        """A byte that the firmware sends; one that ends a frame also ends the run."""
        if byte == 0 and self.sent and self.sent[-1] != 0:
            self.stop()
        self.sent.append(byte)

    def warn(self, name, message):
        """A message that Renode logs about the board."""
        if self.running and (ABORT in message or STRAY in message and TAG not in message):
            self.problem = self.problem or message
            self.stop()
        self.warnings = (self.warnings + [name + ": " + message])[-WARNINGS_KEPT:]


class Warnings(LoggerBackend):
    """Passes warnings and errors on to the board that they concern."""

    def Log(self, entry):
        board = boards.get(entry.MachineName)
        if board is not None and entry.Type.NumericLevel >= LogLevel.Warning.NumericLevel:
            board.warn(entry.ObjectName, entry.Message)


class Counter(object):
    """Instructions of every outermost call of some functions, from entry to return."""

    def __init__(self, cpu, entries):
        self.cpu = cpu
        self.hooks = []
        self.counts = []
        self.inside = False
        for entry in entries:
            self.hook(entry, self.enter)

    def hook(self, address, function):
        hook = CpuAddressHook(function)
        self.cpu.AddHook(address, hook)
        self.hooks.append((address, hook))

    def enter(self, cpu, address):
        if self.inside:
            return
        self.inside = True
        self.entry = address
        self.back = self.cpu.GetRegister(14).RawValue & ~1
        self.stack = self.cpu.GetRegister(13).RawValue
        self.start = self.cpu.ExecutedInstructions
        self.hook(self.back, self.leave)

    def leave(self, cpu, address):
        # A recursive call would pass here with a deeper stack.
        if not self.inside or self.cpu.GetRegister(13).RawValue != self.stack:
            return
        self.counts += [self.entry, self.cpu.ExecutedInstructions - self.start]
        self.inside = False
        self.remove(self.hooks.pop())

    def remove(self, hook):
        self.cpu.RemoveHook(*hook)

    def stop(self):
        for hook in self.hooks:
            self.remove(hook)


boards = {}


def text(data):
    return Encoding.UTF8.GetString(data)


def number(data):
    return BitConverter.ToUInt32(data, 0)


def words(values):
    data = []
    for value in values:
        data += BitConverter.GetBytes(Convert.ToUInt32(value))
    return Array[Byte](data)


def do_monitor(command):
    """Runs a command of the monitor; returns what it prints."""
    result = CommandInteractionEater()
    done = monitor.Parse(text(command), result)
    if result.HasError or not done:
        raise ValueError(result.GetError().strip() or "not understood")
    return Encoding.UTF8.GetBytes(result.GetContents())


def do_open(name, uart):
    """Takes over a machine's UART."""
    found, machine = emulation().TryGetMachine(text(name))
    if not found:
        raise ValueError("there is no machine " + text(name))
    boards[text(name)] = Board(machine, text(uart))


def do_close(name):
    boards.pop(text(name), None)
    emulation().TryRemoveMachine(text(name))


def do_send(name, data):
    """Puts bytes into the receiver, after those not read yet."""
    board = boards[text(name)]
    write = board.uart.WriteChar
    for byte in data:
        write(byte)


def do_run(name, milliseconds):
    """Runs to the end of a frame, within a time limit; returns the bytes sent."""
    board = boards[text(name)]
    if emulation().IsStarted:
        emulation().PauseAll()
    board.run(number(milliseconds))
    if board.problem:
        raise ValueError(board.problem)
    sent, board.sent = board.sent, []
    return Array[Byte](sent)


def do_warnings(name):
    """What Renode has logged about the board lately, a line each."""
    return Encoding.UTF8.GetBytes("\n".join(boards[text(name)].warnings))


def do_read(name, address, length):
    return boards[text(name)].bus.ReadBytes(number(address), int(number(length)))


def do_write(name, address, data):
    boards[text(name)].bus.WriteBytes(data, number(address))


def do_registers(name):
    """r0 to r15, xPSR."""
    cpu = boards[text(name)].cpu
    return words([cpu.GetRegister(index).RawValue for index in list(range(16)) + [25]])


def do_count(name, entries):
    board = boards[text(name)]
    addresses = [BitConverter.ToUInt32(entries, at) for at in range(0, entries.Length, 4)]
    board.counter = Counter(board.cpu, addresses)


def do_counts(name):
    """The calls since the last request: entry and instructions of each."""
    counter = boards[text(name)].counter
    counts, counter.counts = counter.counts, []
    return words(counts)


def do_uncount(name):
    board = boards[text(name)]
    board.counter.stop()
    board.counter = None


def read(stream, length):
    data = Array.CreateInstance(Byte, length)
    at = 0
    while at < length:
        got = stream.Read(data, at, length - at)
        if got == 0:
            raise EOFError()
        at += got
    return data


def answer(fields):
    try:
        return 0, globals()["do_" + text(fields[0])](*fields[1:]) or Array[Byte]([])
    except System.Exception as error:
        problem = error.Message
    except Exception as error:
        problem = str(error) or repr(error)
    return 1, Encoding.UTF8.GetBytes(problem)


def serve():
    stream = TcpClient("127.0.0.1", int(Environment.GetEnvironmentVariable("SPELA_MCU_PORT")))
    stream.NoDelay = True
    stream = stream.GetStream()
    token = Encoding.UTF8.GetBytes(Environment.GetEnvironmentVariable("SPELA_MCU_TOKEN"))
    stream.Write(token, 0, token.Length)
    while True:
        count = number(read(stream, 4))
        fields = [read(stream, int(number(read(stream, 4)))) for _ in range(count)]
        failed, data = answer(fields)
        head = Array[Byte]([failed] + list(BitConverter.GetBytes(data.Length)))
        stream.Write(head, 0, head.Length)
        stream.Write(data, 0, data.Length)


Logger.AddBackend(Warnings(), "spela-mcu")

thread = Thread(ThreadStart(serve))
thread.IsBackground = True
thread.Name = "spela-mcu"
thread.Start()
