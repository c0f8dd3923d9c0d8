"""Platforms: who enforces a policy, in which version, with which settings that change meaning."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from discovery.model.errors import OptionError
from discovery.model.intent import Dialect

# Versions assumed when the user declares none: releases that were supported when this version came out.
ASSUMED_VERSIONS = {Dialect.CILIUM: (1, 18), Dialect.CALICO: (3, 30), Dialect.KUBERNETES: (1, 31)}

# The settings that change what a policy means, with the values we understand; the first is the default.
SETTINGS: dict[Dialect, dict[str, tuple[str, ...]]] = {
    Dialect.CILIUM: {
        "policy-cidr-match-mode": ("none", "nodes"),
        "enable-non-default-deny-policies": ("true", "false"),
    },
    Dialect.CALICO: {"staged": ("true", "false")},
    Dialect.KUBERNETES: {"enforcer": ("strict", "cilium", "calico")},
}

_ITEM = re.compile(r"(?P<name>[a-z]+)=(?P<version>\d{1,4}\.\d{1,4})(\.\d+)?(?P<settings>(;[a-z0-9-]+=[a-z0-9-]+)*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """One enforcing platform. ``declared`` is False when nobody named the version: then it is an assumption, or
    ``detected`` in an inventory. ``settings`` are sorted pairs, defaults included.
    """

    dialect: Dialect
    version: tuple[int, int]
    declared: bool
    settings: tuple[tuple[str, str], ...]
    detected: bool = False

    def setting(self, name: str) -> str:
        """Return the value of a setting."""
        return dict(self.settings)[name]

    def __str__(self) -> str:
        """Return ``cilium 1.18 (assumed)``, with the settings that are not defaults."""
        changed = [f"{k}={v}" for k, v in self.settings if v != SETTINGS[self.dialect][k][0]]
        known = "from the inventory" if self.detected else "assumed"
        extra = changed + ([] if self.declared else [known])
        version = ".".join(map(str, self.version))
        return f"{self.dialect} {version}" + (f" ({', '.join(extra)})" if extra else "")


def default_platform(dialect: Dialect) -> Platform:
    """Return the platform that is assumed when the user declares none."""
    settings = tuple(sorted((name, values[0]) for name, values in SETTINGS[dialect].items()))
    return Platform(dialect=dialect, version=ASSUMED_VERSIONS[dialect], declared=False, settings=settings)


def _parse_item(item: str) -> Platform:
    """Read ``name=version[;setting=value]...``."""
    match = _ITEM.fullmatch(item.strip())
    if match is None:
        raise OptionError(
            f"platform {item!r} is not NAME=VERSION",
            hint="write for example cilium=1.18 or 'kubernetes=1.31;enforcer=calico'",
        )
    if match["name"] not in list(Dialect):
        raise OptionError(f"platform {match['name']!r} is not known", hint=f"known platforms: {', '.join(Dialect)}")
    dialect = Dialect(match["name"])
    settings = {name: values[0] for name, values in SETTINGS[dialect].items()}
    for pair in filter(None, match["settings"].split(";")):
        name, value = pair.split("=")
        if value not in SETTINGS[dialect].get(name, ()):
            known = "; ".join(f"{k}={'|'.join(v)}" for k, v in SETTINGS[dialect].items())
            raise OptionError(f"platform setting {pair!r} is not known for {dialect}", hint=f"known: {known}")
        settings[name] = value
    major, minor = match["version"].split(".")
    return Platform(
        dialect=dialect, version=(int(major), int(minor)), declared=True, settings=tuple(sorted(settings.items()))
    )


def parse_platforms(items: Iterable[str]) -> dict[Dialect, Platform]:
    """Return one platform per dialect from ``cilium=1.18,calico=3.30`` items, with defaults for the rest.

    Raises :class:`OptionError` for a platform, version or setting that is not known.
    """
    platforms = {dialect: default_platform(dialect) for dialect in Dialect}
    for text in items:
        for item in text.split(","):
            platform = _parse_item(item)
            platforms[platform.dialect] = platform
    return platforms


def detect_platforms(
    platforms: Mapping[Dialect, Platform], versions: Mapping[str, tuple[int, int]]
) -> dict[Dialect, Platform]:
    """Return the platforms with what an inventory shows in place of assumptions; what was declared stays.

    ``versions`` are by name of the dialect. Who enforces Kubernetes policies is known when one of the others is there.
    """
    found = dict(platforms)
    for dialect, platform in platforms.items():
        version = versions.get(dialect.value)
        if not platform.declared and version is not None:
            found[dialect] = replace(platform, version=version, detected=True)
    enforcers = {dialect.value for dialect in (Dialect.CILIUM, Dialect.CALICO) if dialect.value in versions}
    plain = found[Dialect.KUBERNETES]
    if len(enforcers) == 1 and plain.detected:
        settings = {**dict(plain.settings), "enforcer": enforcers.pop()}
        found[Dialect.KUBERNETES] = replace(plain, settings=tuple(sorted(settings.items())))
    return found
