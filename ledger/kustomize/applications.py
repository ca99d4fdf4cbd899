"""What an Argo CD application sets on top of the directory that it builds.

`spec.source.kustomize` in its own words becomes the fields of a kustomization that say the same, as
Argo CD does it with `kustomize edit`.
"""

from __future__ import annotations

from ledger.kustomize.references import text, texts
from ledger.resources import Value

_ALIKE = ("namePrefix", "nameSuffix", "namespace", "patches", "components")


def overlay(told: Value) -> dict[str, Value]:
    """The fields of a kustomization that `spec.source.kustomize` stands for."""
    if not isinstance(told, dict):
        return {}
    body: dict[str, Value] = {name: told[name] for name in _ALIKE if told.get(name)}
    images = [_image(one) for one in texts(told.get("images"))]
    if images:
        body["images"] = [one for one in images if one]
    replicas = told.get("replicas")
    if isinstance(replicas, list):
        body["replicas"] = [_replica(one) for one in replicas if isinstance(one, dict)]
    labels = told.get("commonLabels")
    if isinstance(labels, dict) and labels:
        selects = told.get("labelWithoutSelector") is not True
        templates = told.get("labelIncludeTemplates") is True
        body["labels"] = [
            {"pairs": labels, "includeSelectors": selects, "includeTemplates": templates}
        ]
    annotations = told.get("commonAnnotations")
    if isinstance(annotations, dict) and annotations:
        body["commonAnnotations"] = annotations
    return body


def _image(told: str) -> dict[str, Value]:
    """`[name=]image[:tag|@digest]`, as in `kustomize edit set image`."""
    name, equals, image = told.partition("=")
    if not equals:
        name, image = "", told
    image, at, digest = image.partition("@")
    base, _, last = image.rpartition("/")
    last, colon, tag = last.partition(":")
    new = f"{base}/{last}" if base else last
    one: dict[str, Value] = {"name": name or new}
    if name and new:
        one["newName"] = new
    if at:
        one["digest"] = digest
    elif colon:
        one["newTag"] = tag
    return one


def _replica(one: dict[str, Value]) -> dict[str, Value]:
    count = one.get("count")
    number = (
        int(count) if isinstance(count, str) and count.isdecimal() and len(count) < 8 else count
    )
    return {"name": text(one.get("name")), "count": number}
