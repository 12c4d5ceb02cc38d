"""``python -m spela_mcu``: the command line."""

from spela_mcu.cli.main import main

if __name__ == "__main__":
    main()
