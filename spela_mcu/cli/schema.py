"""``spela-mcu schema``: what a model.yaml may say, for editors and other programs."""

from __future__ import annotations

import click

from spela_mcu.cli.console import print_json


@click.command()
def command() -> None:
    """Print the JSON Schema of model.yaml.

    Save it and name it in the first line of a model.yaml, and an editor with a YAML language
    server completes keys and marks errors: # yaml-language-server: $schema=model.schema.json
    """
    from spela_mcu.spec.load import json_schema

    print_json(json_schema())
