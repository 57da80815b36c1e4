"""Foreign keys couple rooms without an import; they too point down, and leave no trace on what they point at."""

from typing import Any

from django.apps import apps
from django.db import models

from tests.support.house import layers

HEIGHTS = layers("shell-rooms")


def _faults(found: list[type[models.Model]]) -> list[str]:
    faults = []
    for model in found:
        room = model._meta.app_label
        for field in model._meta.get_fields(include_hidden=True):
            if not isinstance(field, models.ForeignKey | models.ManyToManyField) or not field.remote_field:
                continue
            target: Any = field.remote_field.model
            other = target._meta.app_label
            if other == room or other not in HEIGHTS:
                continue
            name = f"{room}.{model.__name__}.{field.name}"
            if HEIGHTS[other] >= HEIGHTS[room]:
                faults.append(f"{name} points at {other}, which is not below {room}")
            if not (field.remote_field.related_name or "").endswith("+"):
                faults.append(f"{name} leaves an accessor on {other}.{target.__name__}; give it related_name='+'")
    return faults


def _of_rooms() -> list[type[models.Model]]:
    return [model for model in apps.get_models(include_auto_created=True) if model._meta.app_label in HEIGHTS]


def test_relations_point_down_and_leave_no_accessor() -> None:
    found = _of_rooms()
    assert len({model._meta.app_label for model in found}) >= 2
    assert _faults(found) == []


def test_models_belong_to_the_room_that_holds_them() -> None:
    for model in _of_rooms():
        if not model._meta.auto_created:
            assert model.__module__.split(".")[1] == model._meta.app_label


def test_planted_relations_are_caught() -> None:
    from django.test.utils import isolate_apps

    with isolate_apps("coulance.platform", "coulance.invoicing"):

        class High(models.Model):
            class Meta:
                app_label = "invoicing"

        class Low(models.Model):
            up = models.ForeignKey(High, on_delete=models.CASCADE, related_name="+")

            class Meta:
                app_label = "platform"

        class Loud(models.Model):
            low = models.ForeignKey(Low, on_delete=models.CASCADE)

            class Meta:
                app_label = "invoicing"

        assert _faults([Low]) == ["platform.Low.up points at invoicing, which is not below platform"]
        (fault,) = _faults([Loud])
        assert "leaves an accessor" in fault
        assert _faults([High]) == []
