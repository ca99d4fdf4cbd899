"""What Argo CD's applications tell, from files: nothing twice, nothing invented, nothing lost."""

from __future__ import annotations

import copy
import json
import os
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.config import SourceSettings
from ledger.errors import UsageError
from ledger.events import (
    ApplicationChanged,
    ApplicationCreated,
    ClusterSurveyed,
    CollectorGap,
    SyncApplied,
    SyncFailed,
)
from ledger.ingest import Outcome, import_files
from ledger.sources import Import
from ledger.testing import Ledger, make_ledger

Json = dict[str, Any]
UID = "94978696-4fd4-40b3-a1de-38d9df9e9316"
REVISION = "ea8759964626a583667a2bfd08f334ec2070040a"
SOURCE = {
    "repoURL": "https://github.com/acme/infra.git",
    "path": "apps/shop",
    "targetRevision": "main",
}


def application(**changes: Any) -> Json:
    """An `Application` that was synced once and tells so twice."""
    value: Json = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {
            "name": "shop",
            "namespace": "argocd",
            "uid": UID,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "generation": 7,
            "resourceVersion": "100",
        },
        "spec": {
            "project": "default",
            "source": SOURCE,
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "shop"},
            "syncPolicy": {"automated": {"prune": True, "selfHeal": True}},
        },
        "status": {"history": [entry()], "operationState": operation()},
    }
    for path, new in changes.items():
        *above, last = path.split("__")
        place = value
        for name in above:
            place = place[name]
        if new is None:
            place.pop(last, None)
        else:
            place[last] = new
    return value


def entry(at: str = "09:00:00", number: int = 0, **changes: Any) -> Json:
    return {
        "id": number,
        "revision": REVISION,
        "source": SOURCE,
        "deployStartedAt": f"2026-01-02T{at}Z",
        "deployedAt": f"2026-01-02T{at[:-2]}05Z",
        "initiatedBy": {"username": "ann"},
    } | changes


def operation(at: str = "09:00:00", phase: str = "Succeeded", **changes: Any) -> Json:
    return {
        "operation": {
            "sync": {"revision": REVISION, "syncStrategy": {"hook": {}}},
            "initiatedBy": {"username": "ann"},
        },
        "phase": phase,
        "message": "successfully synced (all tasks run)",
        "startedAt": f"2026-01-02T{at}Z",
        "finishedAt": f"2026-01-02T{at[:-2]}06Z",
        "syncResult": {
            "revision": REVISION,
            "source": SOURCE,
            "resources": [
                {
                    "group": "apps",
                    "version": "v1",
                    "kind": "Deployment",
                    "namespace": "shop",
                    "name": "api",
                    "status": "Synced",
                    "message": "deployment.apps/api configured",
                    "syncPhase": "Sync",
                }
            ],
        },
    } | changes


class Files:
    """A ledger that is handed files, each of a day."""

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self.folder = folder
        self.ledger = ledger
        self._count = 0

    def write(self, content: Any, day: int = 10) -> Path:
        self._count += 1
        text = content if isinstance(content, str) else json.dumps(content)
        path = self.folder / f"file{self._count}.yaml"
        path.write_text(text)
        seconds = datetime(2026, 1, day, tzinfo=UTC).timestamp()
        os.utime(path, (seconds, seconds))
        return path

    def read(self, *files: Path, cluster: str = "hub") -> Outcome:
        return import_files(
            self.ledger.settings,
            "argocd",
            Import(files=files, cluster=cluster),
            clock=lambda: "2026-03-01T00:00:00Z",
        )

    def told(self, *contents: Any) -> None:
        """Reads each content as a file of the next day."""
        for day, content in enumerate(contents, 10):
            self.read(self.write(content, day))

    def gaps(self) -> list[str]:
        return [
            one.data.detail
            for one in self.ledger.events(CollectorGap)
            if isinstance(one.data, CollectorGap)
        ]

    def syncs(self) -> list[SyncApplied | SyncFailed]:
        found = self.ledger.events(SyncApplied, SyncFailed)
        return [one.data for one in found if isinstance(one.data, SyncApplied | SyncFailed)]

    def states(self) -> list[tuple[str, str, str]]:
        """(type, when it was seen, path) of what the application was told to do."""
        return [
            (type(one.data).__name__, one.data.observed_at, one.data.application.sources[0].path)
            for one in self.ledger.events(ApplicationCreated, ApplicationChanged)
            if isinstance(one.data, ApplicationCreated | ApplicationChanged)
        ]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    infra = SourceSettings(kind="git", name="infra", url="git@github.com:acme/infra")
    return Files(tmp_path, make_ledger(tmp_path / "ledger", infra))


def moved(path: str) -> Json:
    return application(spec__source={**SOURCE, "path": path})


# -- files and their shapes ----------------------------------------------------------------------


def as_list(kind: str) -> Json:
    items = [application(), application(metadata__name="web", metadata__uid="u2")]
    return {"apiVersion": "v1", "kind": kind, "items": items, "metadata": {}}


def as_api_answer() -> Json:
    """Argo CD's own API leaves out what kind everything is."""
    items = [
        application(apiVersion=None, kind=None),
        application(apiVersion=None, kind=None, metadata__name="web", metadata__uid="u2"),
    ]
    return {"metadata": {"resourceVersion": "5"}, "items": items}


@pytest.mark.parametrize(
    "content",
    [
        as_list("List"),
        as_list("ApplicationList"),
        as_api_answer(),
        [application(), application(metadata__name="web", metadata__uid="u2")],
        "---\n".join(
            json.dumps(one) + "\n"
            for one in (application(), application(metadata__name="web", metadata__uid="u2"))
        ),
        "\n".join(
            json.dumps(one)
            for one in (application(), application(metadata__name="web", metadata__uid="u2"))
        ),
    ],
    ids=["List", "ApplicationList", "API", "array", "documents", "lines"],
)
def test_applications_are_found_in_every_shape_of_file(files: Files, content: Any) -> None:
    files.read(files.write(content))
    names = {one.application.name for one in map(created, files.ledger.events(ApplicationCreated))}
    assert names == {"shop", "web"}
    assert files.gaps() == []


def created(event: Any) -> ApplicationCreated:
    assert isinstance(event.data, ApplicationCreated)
    return event.data


def test_a_cluster_must_be_named(files: Files) -> None:
    with pytest.raises(UsageError, match="no cluster is named") as refused:
        files.read(files.write(application()), cluster="")
    assert "--cluster" in refused.value.hint


def test_what_an_application_is_told_to_do(files: Files) -> None:
    files.read(files.write(application()))
    told = created(files.ledger.events(ApplicationCreated)[0])
    one = told.application
    assert (one.cluster, one.namespace, one.name, one.uid) == ("hub", "argocd", "shop", UID)
    assert (one.destination, one.destination_namespace) == ("hub", "shop")
    assert (one.automated, one.self_heal, one.prune) == (True, True, True)
    [source] = one.sources
    assert (source.repository, source.path, source.target_revision) == (
        "infra",
        "apps/shop",
        "main",
    )
    assert (told.created_at, told.observed_at) == ("2026-01-01T00:00:00Z", "2026-01-10T00:00:00Z")


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        ({"server": "https://kubernetes.default.svc"}, "hub"),
        ({"name": "in-cluster"}, "hub"),
        ({}, "hub"),
        ({"name": "prod-eu"}, "prod-eu"),
        ({"server": "https://10.0.0.1:6443"}, "https://10.0.0.1:6443"),
    ],
)
def test_the_destination_is_named_as_operators_name_it(
    files: Files, destination: Json, expected: str
) -> None:
    files.read(files.write(application(spec__destination=destination)))
    assert created(files.ledger.events(ApplicationCreated)[0]).application.destination == expected


def test_automation_that_is_switched_off_is_off(files: Files) -> None:
    off = {"automated": {"enabled": False, "selfHeal": True, "prune": True}}
    files.read(files.write(application(spec__syncPolicy=off)))
    one = created(files.ledger.events(ApplicationCreated)[0]).application
    assert (one.automated, one.self_heal, one.prune) == (False, False, False)


def test_of_several_sources_all_are_told_with_their_revisions(files: Files) -> None:
    chart = {"repoURL": "https://charts.example.com", "chart": "redis", "targetRevision": "15.x"}
    told = {"sources": [SOURCE, chart], "revisions": [REVISION, "15.7.1"], "revision": None}
    files.read(
        files.write(
            application(
                spec__sources=[SOURCE, chart],
                status__history=[{**entry(), **told, "source": None}],
                status__operationState=None,
            )
        )
    )
    [sync] = files.syncs()
    assert sync.sync.revisions == [REVISION, "15.7.1"]
    assert [one.chart for one in sync.sync.sources] == ["", "redis"]
    assert len(created(files.ledger.events(ApplicationCreated)[0]).application.sources) == 2


def test_a_hydrated_application_syncs_the_branch_that_was_written(files: Files) -> None:
    hydrator = {
        "drySource": {"repoURL": SOURCE["repoURL"], "path": "dry", "targetRevision": "HEAD"},
        "syncSource": {"targetBranch": "env/prod", "path": "out"},
    }
    files.read(files.write(application(spec__source=None, spec__sourceHydrator=hydrator)))
    [source] = created(files.ledger.events(ApplicationCreated)[0]).application.sources
    assert (source.repository, source.path, source.target_revision) == ("infra", "out", "env/prod")


def test_secrets_in_what_is_kept_are_hidden(files: Files) -> None:
    one = application(
        spec__source={
            "repoURL": "https://ann:hunter2hunter2@github.com/acme/infra.git",
            "path": "apps/shop",
            "helm": {"values": "database:\n  password: hunter2hunter2\n"},
        },
        status__operationState=operation(message="password=hunter2hunter2", phase="Failed"),
    )
    files.read(files.write(one))
    rows = files.ledger.rows("select leaf from log_event")
    assert not any(b"hunter2" in row[0] for row in rows)
    raw = created(files.ledger.events(ApplicationCreated)[0]).raw
    with files.ledger.store() as store:
        kept = store.attachment(raw)
    assert b"hunter2" not in kept
    assert b"hmac-sha256:" in kept


# -- syncs ---------------------------------------------------------------------------------------


def test_history_and_operation_tell_one_sync_under_one_key(files: Files) -> None:
    files.read(files.write(application()))
    keys = [one.key for one in files.ledger.events(SyncApplied)]
    natural = f"argocd/hub/argocd/shop/{UID}/sync/2026-01-02T09:00:00Z"
    assert keys[0] == natural
    assert keys[1].startswith(f"{natural}#")
    by_history, by_operation = (one.sync for one in files.syncs())
    assert (by_history.history_id, by_history.resources) == (0, [])
    assert by_operation.history_id == -1
    assert [one.status for one in by_operation.resources] == ["Synced"]


def test_repeats_at_one_revision_stay_apart(files: Files) -> None:
    history = [entry(f"0{hour}:00:00", hour) for hour in range(1, 8)]
    files.read(files.write(application(status__history=history, status__operationState=None)))
    assert [one.sync.history_id for one in files.syncs()] == list(range(1, 8))


@pytest.mark.parametrize("phase", ["Failed", "Error"])
def test_a_failed_sync_keeps_what_was_applied_all_the_same(files: Files, phase: str) -> None:
    files.read(
        files.write(
            application(
                status__history=[],
                status__operationState=operation(
                    phase=phase, message="one or more objects failed to apply", retryCount=5
                ),
            )
        )
    )
    [failed] = files.syncs()
    assert isinstance(failed, SyncFailed)
    assert (failed.phase, failed.sync.retries) == (phase, 5)
    assert failed.message == "one or more objects failed to apply"
    assert [one.name for one in failed.sync.resources] == ["api"]


@pytest.mark.parametrize("phase", ["Running", "Terminating", ""])
def test_an_operation_that_goes_on_is_no_fact_yet(files: Files, phase: str) -> None:
    state = operation(phase=phase)
    files.read(files.write(application(status__history=[], status__operationState=state)))
    assert files.syncs() == []


def test_a_dry_run_deploys_nothing(files: Files) -> None:
    state = operation(operation={"sync": {"revision": REVISION, "dryRun": True}})
    files.read(files.write(application(status__history=[], status__operationState=state)))
    assert files.syncs() == []


def test_partial_self_heal_and_local_syncs_say_so(files: Files) -> None:
    resources = [{"group": "apps", "kind": "Deployment", "name": "api"}]
    sync = {
        "revision": REVISION,
        "resources": resources,
        "autoHealAttemptsCount": 2,
        "manifests": ["{}"],
    }
    state = operation(operation={"sync": sync, "initiatedBy": {"automated": True}})
    files.read(files.write(application(status__history=[], status__operationState=state)))
    [told] = files.syncs()
    one = told.sync
    assert (one.partial, one.self_heal, one.local) == (True, True, True)
    assert (one.automated, one.initiated_by) == (True, "")


def test_a_failure_before_any_result_tells_what_was_asked_for(files: Files) -> None:
    state = operation(phase="Error", syncResult=None)
    state.pop("syncResult")
    files.read(files.write(application(status__history=[], status__operationState=state)))
    [failed] = files.syncs()
    assert failed.sync.revisions == [REVISION]


# -- again, and in any order -----------------------------------------------------------------------


def test_reading_a_file_again_adds_nothing(files: Files) -> None:
    path = files.write(application())
    assert files.read(path).appended > 0
    assert files.read(path).appended == 0


def test_a_later_copy_of_a_file_is_another_look_that_saw_nothing_new(files: Files) -> None:
    files.read(files.write(application(), day=10))
    assert files.read(files.write(application(), day=20)).appended == 1
    assert isinstance(files.ledger.events()[-1].data, ClusterSurveyed)


def test_a_file_of_the_future_was_seen_when_it_was_handed_over(files: Files) -> None:
    path = files.write(application(), day=10)
    seconds = datetime(2099, 1, 1, tzinfo=UTC).timestamp()
    os.utime(path, (seconds, seconds))
    files.read(path)
    assert [at for _, at, _ in files.states()] == ["2026-03-01T00:00:00Z"]
    assert files.read(path).appended == 0


def test_what_did_not_change_is_not_told_again(files: Files) -> None:
    files.told(
        application(),
        application(metadata__generation=9, metadata__resourceVersion="200", status={}),
    )
    assert files.states() == [("ApplicationCreated", "2026-01-10T00:00:00Z", "apps/shop")]


def test_a_change_and_its_return_are_told(files: Files) -> None:
    files.told(moved("a"), moved("b"), moved("a"))
    assert [(kind, path) for kind, _, path in files.states()] == [
        ("ApplicationCreated", "a"),
        ("ApplicationChanged", "b"),
        ("ApplicationChanged", "a"),
    ]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_files_may_come_in_any_order(tmp_path: Path, order: tuple[int, ...]) -> None:
    contents = [moved("a"), moved("b"), moved("a"), moved("a")]
    files = Files(tmp_path, make_ledger(tmp_path / "ledger"))
    paths = [files.write(one, day) for day, one in enumerate(contents, 10)]
    for number in order:
        files.read(paths[number])
    changes = files.ledger.rows(
        "select observed_at, action, path from application_changes order by observed_at"
    )
    assert changes == [
        ("2026-01-10T00:00:00Z", "created", "a"),
        ("2026-01-11T00:00:00Z", "changed", "b"),
        ("2026-01-12T00:00:00Z", "changed", "a"),
    ]
    assert files.read(*paths).appended == 0


# -- two clusters of one name ----------------------------------------------------------------------


def born(uid: str, day: int) -> Json:
    made = f"2026-01-{day:02}T00:00:00Z"
    return application(metadata__uid=uid, metadata__creationTimestamp=made)


def test_an_application_that_was_made_anew_is_no_other_cluster(files: Files) -> None:
    files.told(born("old", 1), born("old", 1), born("new", 12), born("new", 12))
    assert files.gaps() == []
    assert len(files.ledger.events(ApplicationCreated)) == 2
    files.read(files.write(born("older", 1) | {}, 1))  # a file of before both
    assert [gap for gap in files.gaps() if "uid new" in gap] == []


@pytest.mark.parametrize(
    "days",
    [
        {10: born("one", 2), 11: born("two", 1)},  # an older one after a newer one
        {10: born("one", 1), 13: born("two", 12), 15: born("one", 1)},  # by turns
        {14: [born("one", 1), born("two", 12)]},  # in one file
    ],
    ids=["older", "by turns", "in one file"],
)
def test_two_clusters_of_one_name_are_told_in_any_order(
    tmp_path: Path, days: dict[int, Any]
) -> None:
    told = set()
    for number, order in enumerate(permutations(days)):
        folder = tmp_path / str(number)
        folder.mkdir()
        files = Files(folder, make_ledger(folder / "ledger"))
        paths = {day: files.write(content, day) for day, content in days.items()}
        for day in [*order, *order]:
            files.read(paths[day])
        [gap] = files.gaps()
        told.add(gap)
        kinds = {one.data.kind for one in files.ledger.events(CollectorGap)}  # type: ignore[union-attr]
        assert kinds == {"ambiguous"}
        uids = {
            one.data.application.uid
            for one in files.ledger.events(ApplicationCreated)
            if isinstance(one.data, ApplicationCreated)
        }
        assert uids == {"one", "two"}
        assert files.read(*paths.values()).appended == 0
    [gap] = told
    for part in (
        "the name hub",
        "argocd/shop",
        "one (created at 2026-01-",
        "another --cluster name",
    ):
        assert part in gap


def test_files_of_one_command_are_read_in_the_order_of_their_times(files: Files) -> None:
    paths = [files.write(moved(path), day) for path, day in (("b", 12), ("a", 11), ("c", 13))]
    files.read(*paths)
    assert [path for _, _, path in files.states()] == ["a", "b", "c"]


# -- what cannot be read -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "gap"),
    [
        ({"spec": "x"}, "spec cannot be read"),
        ({"spec__destination": ["x"]}, "spec cannot be read"),
        ({"metadata__name": 7}, "metadata of an application cannot be read"),
        ({"metadata__name": ""}, "metadata of an application cannot be read"),
        ({"metadata": None}, "metadata of an application cannot be read"),
        ({"status": [1]}, "status is no object"),
        ({"status__history": {"a": 1}}, "status.history is no list"),
        ({"status__history": [7]}, "an entry of status.history cannot be read"),
        ({"status__history": [{"id": 2**60}]}, "an entry of status.history cannot be read"),
        ({"status__history": [{"id": 3}]}, "entry 3 of status.history has no time"),
        ({"status__operationState": "x"}, "status.operationState cannot be read"),
        ({"status__operationState": {"phase": "Failed"}}, "no time at which it started"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_part_that_cannot_be_read_is_a_gap_and_costs_only_itself(
    files: Files, changes: Json, gap: str
) -> None:
    bad = application(metadata__uid="bad") | {}
    for path, value in changes.items():
        bad = application_with(bad, path, value)
    files.read(files.write([bad, application(metadata__name="web", metadata__uid="u2")]))
    [detail] = files.gaps()
    assert gap in detail
    assert detail.startswith("file1.yaml: line 1, item 1: ")
    assert "web" in [
        created(one).application.name for one in files.ledger.events(ApplicationCreated)
    ]


def application_with(value: Json, path: str, new: Any) -> Json:
    value = copy.deepcopy(value)
    *above, last = path.split("__")
    place = value
    for name in above:
        place = place[name]
    if new is None:
        del place[last]
    else:
        place[last] = new
    return value


@pytest.mark.parametrize("missing", ["status", "spec", "metadata__uid", "metadata__namespace"])
def test_what_is_missing_is_not_made_up(files: Files, missing: str) -> None:
    files.read(files.write(application(**{missing: None})))
    assert files.gaps() == []
    assert len(files.ledger.events(ApplicationCreated)) == 1


def test_members_that_are_null_are_not_there(files: Files) -> None:
    one = application(spec__syncPolicy={"automated": None})
    one["spec"]["sources"] = None
    one["metadata"]["creationTimestamp"] = None
    files.read(files.write(one))
    told = created(files.ledger.events(ApplicationCreated)[0])
    assert (told.application.automated, told.created_at) == (False, "")
    assert files.gaps() == []


@pytest.mark.parametrize(
    ("content", "gap"),
    [
        ("", "it holds no Application"),
        ("{", "cut off"),
        ("a: [", "the document"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", "it holds no Application"),
        ("\x00", "NUL"),
    ],
)
def test_a_file_that_tells_nothing_is_a_gap(files: Files, content: str, gap: str) -> None:
    files.read(files.write(content))
    [detail] = files.gaps()
    assert gap in detail
    assert files.read(files.write(content)).failure == ""


def test_a_file_that_is_not_there_is_a_gap(files: Files, tmp_path: Path) -> None:
    files.read(tmp_path / "absent.yaml", files.write(application()))
    assert files.gaps() == ["absent.yaml: No such file or directory"]
    assert files.syncs()


def test_names_that_would_be_taken_for_other_keys_are_kept_apart(files: Files) -> None:
    one = application(metadata__name="a/b", metadata__namespace="c")
    other = application(metadata__name="b", metadata__namespace="c/a")
    files.read(files.write([one, other]))
    assert len(files.ledger.events(ApplicationCreated)) == 2
    assert not any("#" in event.key for event in files.ledger.events(ApplicationCreated))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(),
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3)
    ),
    max_leaves=5,
)
PLACES = [
    "metadata", "metadata__name", "metadata__uid", "metadata__creationTimestamp",
    "metadata__generation", "spec", "spec__source", "spec__destination", "spec__syncPolicy",
    "status", "status__history", "status__operationState", "spec__ignoreDifferences",
]  # fmt: skip


@given(st.sampled_from(PLACES), JSON)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_anywhere_is_recorded_or_a_gap(files: Files, place: str, value: Any) -> None:
    one = application_with(application(), place, value if value is not None else "x")
    other = application(metadata__name="web", metadata__uid="u2")
    content = "\n".join(json.dumps(value, allow_nan=False, default=str) for value in (other,))
    try:
        content = json.dumps(one, allow_nan=False) + "\n" + content
    except ValueError:
        return
    outcome = files.read(files.write(content))
    assert (outcome.failure, outcome.stopped) == ("", ())


# -- the survey of a file ------------------------------------------------------------------------


def test_a_file_is_a_look_that_may_have_left_out_something(files: Files) -> None:
    files.read(files.write(application()))
    [survey] = [one.data for one in files.ledger.events(ClusterSurveyed)]
    assert isinstance(survey, ClusterSurveyed)
    assert (survey.cluster, survey.partial) == ("hub", True)
    [scope] = survey.scopes
    assert (scope.api_group, scope.kind, scope.namespace, scope.count) == (
        "argoproj.io",
        "Application",
        "argocd",
        1,
    )


# -- real ones -----------------------------------------------------------------------------------


def test_a_real_application_with_ten_syncs_of_one_revision(files: Files, corpus: Path) -> None:
    real = corpus / "fixtures" / "argocd" / "application-real-with-history.yaml"
    outcome = files.read(real)
    assert (outcome.failure, files.gaps()) == ("", [])
    told = [one.sync for one in files.syncs()]
    assert [one.history_id for one in told] == [*range(14, 24), -1]
    assert {one.revisions[0] for one in told} == {REVISION}
    assert len({one.started_at for one in told}) == 10
    assert [(one.kind, one.name) for one in told[-1].resources] == [
        ("Service", "test-lla"),
        ("Deployment", "test-lla"),
    ]
    assert told[-1].initiated_by == "foo@example.com"
    assert files.read(real).appended == 0
    rows = files.ledger.rows(
        "select kind, count(*), min(initiated_by) from deployments group by kind order by kind"
    )
    assert rows == [("repeat", 9, ""), ("unknown_since", 1, "")]


def test_every_file_of_argo_cd_is_read_or_a_gap(files: Files, corpus: Path) -> None:
    found = [path for path in (corpus / "fixtures" / "argocd").rglob("*") if path.is_file()]
    outcome = files.read(*found)
    assert (outcome.failure, outcome.stopped) == ("", ())
    assert files.read(*found).appended == 0
