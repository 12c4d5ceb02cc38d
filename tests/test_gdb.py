"""GDB's protocol against a stub of a few lines; QEMU's own is met in test_qemu.py."""

import re
import socket
import threading

import pytest

from spela_mcu.simulators.gdb import MEMORY_CHUNK, GdbError, GdbTarget

MEMORY = bytes(range(256)) * 16
DESCRIPTION = {
    "target.xml": '<target><xi:include href="core.xml"/><xi:include href="system.xml"/></target>',
    "core.xml": '<feature name="core"><reg name="r0" bitsize="32"/><reg name="r1" bitsize="32"/>\n'
    '<reg name="xpsr" bitsize="32" regnum="25"/></feature>' + " " * 2 * MEMORY_CHUNK,
    "system.xml": "<feature><reg bitsize='32' name=\"control\"/></feature>",
}
REGISTERS = {0: 0x11223344, 1: 1, 25: 0x01000000, 26: 2}


class Stub:
    """Answers packets from a thread of its own; its memory is at 0x1000."""

    def __init__(self):
        self.memory = bytearray(MEMORY)
        self.breakpoints = []
        self.longest = 0
        self.connection, self._mine = socket.socketpair()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self._mine.close()

    def _serve(self):
        received = b""
        while data := self._mine.recv(4096):
            received += data.replace(b"+", b"")
            if received.startswith(b"\x03"):
                received = received[1:]
                self._send(b"T02thread:01;")
            while packet := re.match(rb"\$([^#]*)#(..)", received):
                received = received[packet.end() :]
                assert int(packet[2], 16) == sum(packet[1]) & 255
                self.longest = max(self.longest, len(packet[0]))
                self._mine.sendall(b"+")
                answer = self._answer(packet[1].decode())
                if answer is not None:
                    self._send(answer.encode())

    def _send(self, payload):
        whole = b"$%b#%02x" % (payload, sum(payload) & 255)
        for part in (whole[:3], whole[3:]):  # packets may come in pieces
            self._mine.sendall(part)

    def _answer(self, text):
        kind, rest = text[0], text[1:]
        if kind in "mM":
            address, length = (int(word, 16) for word in rest.partition(":")[0].split(","))
            place = slice(address - 0x1000, address - 0x1000 + length)
            if not 0 <= place.start <= place.stop <= len(self.memory):
                return "E14"
            if kind == "M":
                self.memory[place] = bytes.fromhex(rest.partition(":")[2])
            return "OK" if kind == "M" else self.memory[place].hex()
        if kind == "p":
            return REGISTERS[int(rest, 16)].to_bytes(4, "little").hex()
        if kind in "zZ":
            self.breakpoints.append(text)
            return "OK"
        if kind == "q":
            *_, document, place = text.split(":")
            offset, length = (int(word, 16) for word in place.split(","))
            part = DESCRIPTION[document][offset : offset + length]
            return ("m" if offset + length < len(DESCRIPTION[document]) else "l") + part
        return None if kind == "c" else ""


@pytest.fixture
def stub():
    stub = Stub()
    yield stub
    stub.close()
    stub.connection.close()


def test_memory_goes_in_packets_that_a_stub_has_room_for(stub):
    target = GdbTarget(stub.connection)
    assert target.read_memory(0x1001, 3000) == MEMORY[1:3001]
    target.write_memory(0x1003, b"\xaa" * 2500)
    assert stub.memory == MEMORY[:3] + b"\xaa" * 2500 + MEMORY[2503:]
    assert stub.longest <= 2 * MEMORY_CHUNK + 24
    with pytest.raises(ValueError, match="no memory at 0x00001ff8, 16 bytes"):
        target.read_memory(0x1FF8, 16)
    with pytest.raises(GdbError, match="'E14'"):
        target.write_memory(0x1FF8, bytes(16))


def test_registers_are_found_by_the_description(stub):
    target = GdbTarget(stub.connection)
    values = target.read_registers(("xpsr", "r0", "control", "r1"))
    assert values == {"xpsr": 0x01000000, "r0": 0x11223344, "control": 2, "r1": 1}


def test_a_target_runs_and_is_stopped(stub):
    target = GdbTarget(stub.connection)
    target.interrupt()  # it stands still already
    target.set_breakpoint(0x1000)
    target.resume()
    assert target.is_running
    target.interrupt()
    assert not target.is_running
    target.clear_breakpoint(0x1000)
    assert stub.breakpoints == ["Z0,1000,2", "z0,1000,2"]


def test_a_stub_that_is_gone_or_silent(stub, monkeypatch):
    monkeypatch.setattr("spela_mcu.simulators.gdb.REPLY_TIMEOUT_S", 0.1)
    target = GdbTarget(stub.connection)
    target.resume()
    with pytest.raises(GdbError, match="does not answer"):
        target.wait_for_stop(0.1)
    stub._mine.shutdown(socket.SHUT_RDWR)
    with pytest.raises(GdbError, match=r"has ended|takes no packets"):
        target.read_memory(0x1000, 4)
