"""Renders what `reports/` holds. Templates get data and can reach nothing else."""

from __future__ import annotations

from ledger.store import schema


def data_dictionary() -> str:
    """Every public view and column with its sentence, as Markdown."""
    from jinja2 import FileSystemLoader, StrictUndefined  # noqa: PLC0415 (slow to import)
    from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415

    environment = SandboxedEnvironment(
        loader=FileSystemLoader(schema.shipped("reports")),
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
    )
    return environment.get_template("data-dictionary.md.j2").render(views=schema.views())
