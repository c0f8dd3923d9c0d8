"""``discover explain``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from discovery.cli.common import (
    Bars,
    cluster_option,
    input_format_option,
    inventory_option,
    platform_option,
    printable,
    speaks,
    workers_option,
)

if TYPE_CHECKING:
    from discovery.app.explain import ConnectionReason, RuleReason

_SHOWN = 30

_EPILOG = """\b
Examples:
  discover explain policies 1a2b3c4d                                    why is this rule here?
  discover explain policies 'shop/web -> shop/db TCP/5432' lake         why would this be allowed or denied?
  discover explain live.yaml 'shop/web -> 192.0.2.7 TCP/443' lake --as-written
"""


@click.command(epilog=_EPILOG)
@click.argument("policies", type=click.Path(exists=True, path_type=Path))
@click.argument("what")
@click.argument("inputs", nargs=-1, metavar="[INPUT]...")
@inventory_option
@platform_option
@click.option("--as-written", is_flag=True, help="Take monitor forms as they are, inert, not as if they were promoted.")
@input_format_option
@cluster_option
@workers_option
@speaks
def command(  # noqa: PLR0917 - click passes one argument per option
    policies: Path,
    what: str,
    inputs: tuple[str, ...],
    inventory: tuple[Path, ...],
    platforms: tuple[str, ...],
    as_written: bool,
    input_format: str,
    cluster: str,
    workers: int | None,
) -> None:
    """Say why a rule is there, or why a connection would be allowed or denied.

    WHAT is an evidence id from the comment above a rule, or a connection: 'CLIENT -> SERVER PROTOCOL/PORT', each end a
    workload (namespace/name), a reserved entity or an address. INPUT, which a connection needs, tells the workloads.
    """
    from discovery.app.explain import explain_connection, explain_rule, is_rule
    from discovery.app.verify import VerifyOptions
    from discovery.model.errors import OptionError
    from discovery.model.platform import parse_platforms

    if is_rule(what):
        _tell_rule(explain_rule(policies, what.strip()))
        return
    if not inputs:
        raise OptionError(
            "a connection is explained with the workloads that flows tell", hint="add flow logs or a lake at the end"
        )
    with Bars() as bars:
        options = VerifyOptions(
            format=input_format,
            platforms=parse_platforms(platforms),
            inventory=inventory,
            cluster=cluster,
            as_written=as_written,
            workers=workers,
            progress=bars.update,
        )
        found = explain_connection(policies, what, inputs, options)
    for reason in found:
        _tell_connection(reason)


def _tell_rule(reason: RuleReason) -> None:
    """Print what a rule rests on."""
    rule, evidence = reason.rule, reason.rule.get("evidence") or {}
    click.echo(f"Rule       {reason.identifier}: {reason.direction} of {printable(reason.workload)}")
    what = rule["ports"] or ", ".join(map(str, rule["icmpTypes"]))
    click.echo(f"Allows     {printable(_peer(rule['peer']))} on {rule['protocol']} {printable(what)}")
    why = printable(rule["reason"]) if rule.get("reason") else "it was seen in the traffic"
    click.echo(f"Because    {rule['origin']}: {why}")
    for name, value in evidence.items():
        told = ", ".join(map(str, value)) if isinstance(value, list) else value
        words = "".join(f" {char.lower()}" if char.isupper() else char for char in name)
        click.echo(f"             {words}: {printable('not counted' if told is None else told)}")
    for place in reason.places:
        click.echo(f"Written    {printable(place)}")


def _peer(told: dict[str, Any]) -> str:
    """Return the peer of a rule for people."""
    if "namespace" not in told:
        return ", ".join(
            str(item) for value in told.values() for item in (value if isinstance(value, list) else [value])
        )
    labels = [f"{key}={value}" for key, value in (told.get("labels") or {}).items()]
    account = told.get("serviceAccount")
    asked = [*labels, *([f"serviceAccount={account}"] if account else [])]
    return f"pods of {told['namespace']}" + (f" with {', '.join(asked)}" if asked else "")


def _tell_connection(reason: ConnectionReason) -> None:
    """Print the trace of a connection, side by side: the answer, who isolates, the rules that match first."""
    click.echo(f"{reason.policies.capitalize():<11}{reason.outcome} on {reason.platform}")
    for side in reason.sides:
        decision = side.decision
        click.echo(
            f"  {decision.direction} of {printable(side.subject)}: {decision.outcome} ({printable(decision.reason)})"
        )
        for policy in dict.fromkeys(map(str, decision.isolating)):
            click.echo(f"    isolated by {printable(policy)}")
        looks = sorted(side.looks, key=lambda look: -look.matches)
        for look in looks[:_SHOWN]:
            click.echo(f"    {'>' if look.matches else ' '} {printable(look)}")
        if len(looks) > _SHOWN:
            click.echo(f"      and {len(looks) - _SHOWN} more that do not match")
