"""Platforms: who enforces a policy, in which version, with which settings that change meaning."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from discovery.model.errors import OptionError
from discovery.model.intent import Dialect

# Versions assumed when the user declares none: releases that were supported when this version came out.
ASSUMED_VERSIONS = {Dialect.CILIUM: (1, 18), Dialect.CALICO: (3, 30), Dialect.KUBERNETES: (1, 31)}

# The settings that change what a policy means, with the values we understand; the first is the default. Sources:
# Cilium's ConfigMap ``cilium-config``, Calico's FelixConfiguration. ``tier`` is a name: its default, or any DNS label.
SETTINGS: dict[Dialect, dict[str, tuple[str, ...]]] = {
    Dialect.CILIUM: {
        "allow-localhost": ("auto", "always", "policy"),
        "enable-non-default-deny-policies": ("true", "false"),
        "enable-policy": ("default", "always", "never"),
        "policy-cidr-match-mode": ("none", "nodes", "pods", "nodes+pods"),
        "policy-default-local-cluster": ("auto", "true", "false"),
    },
    Dialect.CALICO: {
        "default-endpoint-to-host-action": ("unknown", "accept", "drop", "return"),
        "staged": ("true", "false"),
        "tier": ("default",),
    },
    Dialect.KUBERNETES: {
        "allow-localhost": ("auto", "always", "policy"),
        "default-endpoint-to-host-action": ("unknown", "accept", "drop", "return"),
        "enable-policy": ("default", "always", "never"),
        "enforcer": ("strict", "cilium", "calico"),
        "policy-cidr-match-mode": ("none", "nodes", "pods", "nodes+pods"),
    },
}
# Settings of Kubernetes policies that only one enforcer has.
_ENFORCER_OF = {
    "allow-localhost": "cilium",
    "default-endpoint-to-host-action": "calico",
    "enable-policy": "cilium",
    "policy-cidr-match-mode": "cilium",
}
_NAMES = frozenset({"tier"})
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# First releases that know a value that is not the default.
_SINCE = {
    (Dialect.CILIUM, "enable-non-default-deny-policies", "false"): (1, 17),
    (Dialect.CILIUM, "policy-cidr-match-mode", "nodes"): (1, 15),
    (Dialect.CILIUM, "policy-cidr-match-mode", "pods"): (1, 20),
    (Dialect.CILIUM, "policy-cidr-match-mode", "nodes+pods"): (1, 20),
    (Dialect.CILIUM, "policy-default-local-cluster", "true"): (1, 18),
    (Dialect.CILIUM, "policy-default-local-cluster", "false"): (1, 18),
}
_LOCAL_BY_DEFAULT = (1, 19)
# First release of Calico (open source) with staged policies.
STAGED_SINCE = (3, 30)

_ITEM = re.compile(r"(?P<name>[a-z]+)=(?P<version>\d{1,4}\.\d{1,4})(\.\d+)?(?P<settings>(;[a-z0-9-]+=[a-z0-9+-]+)*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """One enforcing platform. ``declared`` is False when nobody named the version: then it is an assumption, or
    ``detected`` in an inventory. ``settings`` are sorted pairs, defaults included; ``chosen`` are the names of those
    that somebody declared.
    """

    dialect: Dialect
    version: tuple[int, int]
    declared: bool
    settings: tuple[tuple[str, str], ...]
    detected: bool = False
    chosen: tuple[str, ...] = ()

    def setting(self, name: str) -> str:
        """Return the value of a setting."""
        return dict(self.settings)[name]

    @property
    def local_by_default(self) -> bool:
        """Say whether selectors without a cluster mean the cluster of the policy, also in a mesh."""
        if self.dialect is not Dialect.CILIUM:
            return True
        told = self.setting("policy-default-local-cluster")
        return self.version >= _LOCAL_BY_DEFAULT if told == "auto" else told == "true"

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
    chosen: list[str] = []
    for pair in filter(None, match["settings"].split(";")):
        name, value = pair.split("=")
        if not _is_known(dialect, name, value):
            known = "; ".join(f"{k}={'NAME' if k in _NAMES else '|'.join(v)}" for k, v in SETTINGS[dialect].items())
            raise OptionError(f"platform setting {pair!r} is not known for {dialect}", hint=f"known: {known}")
        settings[name] = value
        chosen.append(name)
    major, minor = match["version"].split(".")
    platform = Platform(
        dialect=dialect,
        version=(int(major), int(minor)),
        declared=True,
        settings=tuple(sorted(settings.items())),
        chosen=tuple(sorted(set(chosen))),
    )
    _check_versions(platform)
    return platform


def _is_known(dialect: Dialect, name: str, value: str) -> bool:
    """Say whether a dialect has a setting with this value."""
    if name in _NAMES and name in SETTINGS[dialect]:
        return _NAME.fullmatch(value) is not None
    return value in SETTINGS[dialect].get(name, ())


def _check_versions(platform: Platform) -> None:
    """Raise :class:`OptionError` for a declared value that the declared version or enforcer does not have."""
    for name in platform.chosen if platform.dialect is Dialect.KUBERNETES else ():
        enforcer = _ENFORCER_OF.get(name)
        if enforcer not in (None, platform.setting("enforcer")):
            raise OptionError(
                f"{name} is a setting of {enforcer}, and Kubernetes policies are enforced by"
                f" {platform.setting('enforcer')}",
                hint=f"add enforcer={enforcer}, or leave the setting out",
            )
    for name, value in platform.settings:
        since = _since(platform.dialect, name, value)
        if platform.version < since:
            first, declared = (".".join(map(str, version)) for version in (since, platform.version))
            raise OptionError(
                f"{name}={value} needs {platform.dialect} {first} or later, and {declared} is declared",
                hint="leave the setting out, or declare the version that the cluster runs",
            )


def _since(dialect: Dialect, name: str, value: str) -> tuple[int, int]:
    """Return the first release that has a value of a setting; older ones ignore it."""
    return _SINCE.get((dialect, name, value), (0, 0))


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
    platforms: Mapping[Dialect, Platform],
    versions: Mapping[str, tuple[int, int]],
    settings: Mapping[str, Mapping[str, str]],
) -> dict[Dialect, Platform]:
    """Return the platforms with what an inventory shows in place of assumptions; what was declared stays.

    ``versions`` and ``settings`` are by name of the dialect. Who enforces Kubernetes policies is known when one of the
    others is there.
    """
    found = {}
    enforcers = {dialect.value for dialect in (Dialect.CILIUM, Dialect.CALICO) if dialect.value in versions}
    for dialect, platform in platforms.items():
        version = versions.get(dialect.value)
        if not platform.declared and version is not None:
            platform = replace(platform, version=version, detected=True)  # noqa: PLW2901 - the same platform, better known
        told = dict(settings.get(dialect.value, {}))
        if dialect is Dialect.KUBERNETES:
            told = _enforced_by(platform, enforcers, settings, versions)
        known = {
            name: value
            for name, value in told.items()
            if name not in platform.chosen
            and _is_known(dialect, name, value)
            and platform.version >= _since(dialect, name, value)
        }
        found[dialect] = replace(platform, settings=tuple(sorted({**dict(platform.settings), **known}.items())))
    return found


def _enforced_by(
    platform: Platform,
    enforcers: set[str],
    settings: Mapping[str, Mapping[str, str]],
    versions: Mapping[str, tuple[int, int]],
) -> dict[str, str]:
    """Return what an inventory tells of who enforces Kubernetes policies, and of its settings that concern them."""
    told = {"enforcer": next(iter(enforcers))} if len(enforcers) == 1 else {}
    enforcer = platform.setting("enforcer") if "enforcer" in platform.chosen else told.get("enforcer", "strict")
    own = settings.get(enforcer, {})
    if not own:
        return told
    version = versions.get(enforcer, ASSUMED_VERSIONS[Dialect(enforcer)])
    return told | {
        name: value
        for name, value in own.items()
        if _ENFORCER_OF.get(name) == enforcer and version >= _since(Dialect(enforcer), name, value)
    }
