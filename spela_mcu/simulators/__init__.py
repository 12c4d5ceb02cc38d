"""Simulators of boards: Renode, QEMU and Unicorn behind one interface (`base`)."""
