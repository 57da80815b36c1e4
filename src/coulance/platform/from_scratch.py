"""Running all migrations on an empty database in a fraction of the time that Django's `migrate` takes for it.

Django keeps a class for every model as it was at each migration. After each operation it makes the class of the model
anew, and the classes of all models that are related to it through any number of foreign keys, which in a house of many
tables is nearly all of them: nine tenths of the time goes there. Here an operation that only adds (a model, a field, a
constraint, an index) changes the class at hand; any other drops all classes, to be made when they are asked for again.

The operations are Django's and the migrations' own, and so is all SQL. A test holds that both ways leave the same
database. Databases with rows in them are migrated by Django's command alone (`schema.migrate` chooses).
"""

from typing import Any, cast

from django.apps import apps as installed
from django.core.management.base import CommandError
from django.core.management.sql import emit_post_migrate_signal, emit_pre_migrate_signal
from django.db import connection, models
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ModelState, ProjectState, StateApps


class _State(ProjectState):
    """A project state whose classes are changed in place, and shared between the state before and after an operation.

    That of before sees what was added then, which adding on PostgreSQL doesn't mind. Code of a migration (`RunPython`)
    gets classes made for its state alone: `is_delayed` tells Django to make them.
    """

    def clone(self) -> "_State":
        new = _State(models={key: state.clone() for key, state in self.models.items()}, real_apps=self.real_apps)
        if "apps" in self.__dict__:
            new.__dict__["apps"] = self.__dict__["apps"]
        new.is_delayed = self.is_delayed
        return new

    def add_model(self, model_state: ModelState) -> None:
        apps = self._without_classes()
        super().add_model(model_state)
        if apps is not None:
            apps.render_multiple([model_state])
            self._changed(apps)

    def add_field(
        self, app_label: str, model_name: str, name: str, field: "models.Field[Any, Any]", preserve_default: bool
    ) -> None:
        apps = self._without_classes()
        super().add_field(app_label, model_name, name, field, preserve_default)
        if apps is not None:
            kept = self.models[app_label, model_name].fields[name]
            apps.get_model(app_label, model_name).add_to_class(name, kept.clone())
            apps.clear_cache()
            self._changed(apps)

    def remove_model(self, app_label: str, model_name: str) -> None:
        self._without_classes()
        super().remove_model(app_label, model_name)

    def reload_model(self, app_label: str, model_name: str, delay: bool = False) -> None:  # noqa: ARG002
        self._without_classes()

    def reload_models(self, models: Any, delay: bool = True) -> None:  # noqa: ARG002
        self._without_classes()

    # Django's own two ways to a model's indexes and constraints.

    def _append_option(self, app_label: str, model_name: str, option_name: str, obj: Any) -> None:
        apps = self._without_classes()
        super()._append_option(app_label, model_name, option_name, obj)  # type: ignore[misc]
        self._take_option(apps, app_label, model_name, option_name)

    def _remove_option(self, app_label: str, model_name: str, option_name: str, obj_name: str) -> None:
        apps = self._without_classes()
        super()._remove_option(app_label, model_name, option_name, obj_name)  # type: ignore[misc]
        self._take_option(apps, app_label, model_name, option_name)

    def _take_option(self, apps: StateApps | None, app_label: str, model_name: str, option: str) -> None:
        if apps is None:
            return
        meta: Any = apps.get_model(app_label, model_name)._meta
        setattr(meta, option, meta._format_names(self.models[app_label, model_name].options[option]))
        meta._expire_cache()
        self._changed(apps)

    def _without_classes(self) -> StateApps | None:
        return cast("StateApps | None", self.__dict__.pop("apps", None))

    def _changed(self, apps: StateApps) -> None:
        self.__dict__["apps"] = apps
        self.is_delayed = True


def migrate() -> None:
    """Apply all migrations to the database of the default connection, which must be empty, as `migrate` would."""
    connection.prepare_database()
    executor = MigrationExecutor(connection)
    if executor.loader.applied_migrations:
        raise CommandError("this database was migrated before: coulance migrate applies what it lacks")
    if conflicts := executor.loader.detect_conflicts():
        raise CommandError(f"conflicting migrations: {conflicts}")
    targets = executor.loader.graph.leaf_nodes()
    plan = executor.migration_plan(targets)
    state = _State(real_apps=set(executor.loader.unmigrated_apps))
    told: dict[str, Any] = {"verbosity": 0, "interactive": False, "db": connection.alias, "plan": plan}
    emit_pre_migrate_signal(**told, apps=state.apps)
    state = cast(_State, executor.migrate(targets, plan=plan, state=state))
    state.clear_delayed_apps_cache()
    _relate_unmigrated(state.apps)
    emit_post_migrate_signal(**told, apps=state.apps)


def _relate_unmigrated(apps: StateApps) -> None:
    """Give models of apps without migrations their relations, for those who listen to the end of a migration."""
    keys = [(state.app_label, state.name_lower) for state in apps.real_models]
    with apps.bulk_update():
        for key in keys:
            apps.unregister_model(*key)
    apps.render_multiple([ModelState.from_model(installed.get_model(*key)) for key in keys])
