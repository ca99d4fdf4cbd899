"""What the configuration says of environments and persons, as events where it differs from the log.

What is configured no longer is recorded as an empty mapping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from ledger.config import Settings
from ledger.events import EnvironmentMapped, Event, Identity, NewEvent, PersonMapped
from ledger.store import Store

SOURCE: Final = "configuration"


def news(settings: Settings, store: Store, now: str) -> list[NewEvent]:
    """What differs from what was recorded last, to be appended. Costs a query for each name."""
    return [*_environments(settings, store), *_persons(settings, store, now)]


def _environments(settings: Settings, store: Store) -> Iterator[NewEvent]:
    wanted = {
        one.name: EnvironmentMapped(
            environment=one.name,
            tier=one.tier,
            repository=one.repository,
            paths=one.paths,
            clusters=one.clusters,
            namespaces=one.namespaces,
            applications=one.applications,
        )
        for one in settings.environment
    }
    known = store.environments()
    return _changed(
        store, "environment", wanted, known, lambda name: EnvironmentMapped(environment=name)
    )


def _persons(settings: Settings, store: Store, now: str) -> Iterator[NewEvent]:
    wanted = {
        one.name: PersonMapped(
            person=one.name,
            bot=one.bot,
            identities=[Identity(login=login) for login in sorted(one.logins)]
            + [Identity(email=email) for email in sorted(one.emails)],
        )
        for one in settings.person
    }
    known = store.persons()
    return _changed(store, "person", wanted, known, lambda name: PersonMapped(person=name), now)


def _changed(
    store: Store,
    stream: str,
    wanted: Mapping[str, Event],
    known: Iterable[str],
    nothing: Callable[[str], Event],
    at: str = "",
) -> Iterator[NewEvent]:
    """What of `wanted`, by name, is not what was last; `nothing` for what is known and wanted no more."""
    for name in dict.fromkeys([*wanted, *known]):
        data = wanted.get(name) or nothing(name)
        last = store.latest(data.TYPE, f"{stream}/{name}")
        if (last.data if last else nothing(name)) != data:
            after = "the start" if last is None else last.position
            yield NewEvent(
                stream=f"{stream}/{name}",
                key=f"{stream}/{name}/after {after}",
                source=SOURCE,
                occurred_at=at,
                data=data,
            )
