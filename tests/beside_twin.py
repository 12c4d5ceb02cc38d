"""The firmware's application, as a process of this machine, beside its twin in Python."""

from host_process import HostProcess, HostProcessError

from spela_mcu.device.protocol import decode_frame
from spela_mcu.device.twin import Flash, State, Twin
from spela_mcu.firmware.memory import kept_bytes
from spela_mcu.firmware.store import plan_store


def flash_of(project):
    """Erased flash, as the project's board has it; None: nothing is kept."""
    model, board = project.model, project.board
    if board.store is None or project.inference_only:
        return None
    store = plan_store(board, model.state_bytes, kept_bytes(model.classes, model.layers))
    states = tuple(State() for _ in store.slots)
    return Flash(states, store.slots[0][0].bytes, board.store.unit_bytes)


def twin_of(case, guard=None):
    """The device as docs/protocol.md has it."""
    project = case.project
    return Twin(
        case.network(),
        project.model,
        inference_only=project.inference_only,
        flash=flash_of(project),
        guard=guard,
    )


def differing(twin, program, frames):
    """The first frame that they answer differently; None: there is none."""
    process = HostProcess(program)
    try:
        for frame in frames:
            if decode_frame(process.exchange(frame)[:-1]) != twin.answer(frame[:-1]):
                return frame
        process.close()
    except HostProcessError as error:  # a sanitizer's report is a difference as well
        return str(error)
    finally:
        process._kill()
    return None
