"""Tables of the rails that money comes by. What holds of methods is proven of the rows there in 0006, without a lock."""

import django.db.models.deletion
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("customers", "0001_initial"),
        ("invoicing", "0007_debit_notes"),
        ("payments", "0004_debit_notes"),
    ]

    operations = [
        migrations.CreateModel(
            name="Agreement",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=12)),
                ("currency", models.CharField(max_length=3)),
                ("most_each", models.BigIntegerField(null=True)),
                ("most_a_month", models.BigIntegerField(null=True)),
                ("below", models.BigIntegerField(null=True)),
                ("amount", models.BigIntegerField(null=True)),
                ("text", models.TextField()),
                ("text_hash", models.BinaryField(max_length=32)),
                ("given_by", models.CharField(max_length=100)),
                ("given_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("ended_by", models.CharField(db_default="", default="", max_length=100)),
                ("ended_why", models.TextField(db_default="", default="")),
            ],
            options={
                "db_table": "payments_agreement",
            },
        ),
        migrations.CreateModel(
            name="Announcement",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("amount", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("charge_on", models.DateField()),
                ("message_key", models.CharField(max_length=160, unique=True)),
                ("made_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("why", models.CharField(db_default="", default="", max_length=200)),
            ],
            options={
                "db_table": "payments_announcement",
            },
        ),
        migrations.CreateModel(
            name="Claim",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("amount", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("since", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "payments_claim",
            },
        ),
        migrations.CreateModel(
            name="Collection",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("amount", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("collect_on", models.DateField()),
                ("end_to_end_id", models.CharField(max_length=35, unique=True)),
                ("state", models.CharField(db_default="planned", default="planned", max_length=10)),
                ("sequence", models.CharField(db_default="", default="", max_length=10)),
                ("message_key", models.CharField(max_length=160)),
                ("attempt", models.PositiveSmallIntegerField(db_default=1, default=1)),
                ("final_on", models.DateField(null=True)),
                ("return_code", models.CharField(db_default="", default="", max_length=10)),
                ("ended_on", models.DateField(null=True)),
                ("why", models.TextField(db_default="", default="")),
                ("planned_at", models.DateTimeField()),
                ("planned_by", models.CharField(max_length=100)),
                ("changed_at", models.DateTimeField()),
            ],
            options={
                "db_table": "payments_collection",
            },
        ),
        migrations.CreateModel(
            name="CollectionRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("reference", models.CharField(max_length=35, unique=True)),
                ("scheme", models.CharField(max_length=10)),
                ("currency", models.CharField(max_length=3)),
                ("form", models.CharField(max_length=20)),
                ("creditor", models.JSONField()),
                ("count", models.PositiveIntegerField()),
                ("total", models.BigIntegerField()),
                ("file", models.BinaryField()),
                ("file_hash", models.BinaryField(max_length=32)),
                ("made_at", models.DateTimeField()),
                ("made_by", models.CharField(max_length=100)),
                ("handed_at", models.DateTimeField(null=True)),
                ("handed_by", models.CharField(db_default="", default="", max_length=100)),
                ("cancelled_at", models.DateTimeField(null=True)),
                ("cancelled_by", models.CharField(db_default="", default="", max_length=100)),
                ("cancelled_why", models.TextField(db_default="", default="")),
            ],
            options={
                "db_table": "payments_collection_run",
            },
        ),
        migrations.CreateModel(
            name="GatewayDispute",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("ref", models.CharField(max_length=100)),
                ("amount", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("happened_on", models.DateField()),
                ("reason", models.CharField(db_default="", default="", max_length=200)),
                ("recorded_at", models.DateTimeField()),
            ],
            options={
                "db_table": "payments_gateway_dispute",
            },
        ),
        migrations.CreateModel(
            name="GatewayEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("gateway", models.CharField(max_length=20)),
                ("event_id", models.CharField(max_length=200)),
                ("kind", models.CharField(max_length=100)),
                ("refs", models.JSONField()),
                ("body", models.BinaryField()),
                ("received_at", models.DateTimeField()),
                ("done_at", models.DateTimeField(null=True)),
                ("outcome", models.CharField(db_default="", default="", max_length=300)),
                ("attempts", models.PositiveSmallIntegerField(db_default=0, default=0)),
            ],
            options={
                "db_table": "payments_gateway_event",
            },
        ),
        migrations.CreateModel(
            name="GatewayPayment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("gateway", models.CharField(max_length=20)),
                ("purpose", models.CharField(max_length=12)),
                ("amount", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("key", models.CharField(max_length=64, unique=True)),
                ("state", models.CharField(db_default="made", default="made", max_length=10)),
                ("refs", models.JSONField(default=list)),
                ("url", models.TextField(db_default="", default="")),
                ("choice", models.JSONField(default=list)),
                ("keep_text", models.TextField(db_default="", default="")),
                ("description", models.CharField(max_length=200)),
                ("method", models.CharField(db_default="", default="", max_length=100)),
                ("failure", models.TextField(db_default="", default="")),
                ("final_on", models.DateField(null=True)),
                ("attempts", models.PositiveSmallIntegerField(db_default=0, default=0)),
                ("made_at", models.DateTimeField()),
                ("made_by", models.CharField(max_length=100)),
                ("changed_at", models.DateTimeField()),
            ],
            options={
                "db_table": "payments_gateway_payment",
            },
        ),
        migrations.CreateModel(
            name="GatewayPayout",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("gateway", models.CharField(max_length=20)),
                ("ref", models.CharField(max_length=100)),
                ("net", models.BigIntegerField()),
                ("fees", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("arrived_on", models.DateField()),
                ("bank_reference", models.CharField(db_default="", default="", max_length=140)),
                ("lines", models.JSONField()),
                ("strange", models.JSONField(default=list)),
                ("recorded_at", models.DateTimeField()),
            ],
            options={
                "db_table": "payments_gateway_payout",
            },
        ),
        migrations.CreateModel(
            name="GatewayRefund",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("amount", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("key", models.CharField(max_length=64, unique=True)),
                ("ref", models.CharField(db_default="", default="", max_length=100)),
                ("state", models.CharField(db_default="made", default="made", max_length=10)),
                ("reason", models.TextField()),
                ("made_at", models.DateTimeField()),
                ("made_by", models.CharField(max_length=100)),
            ],
            options={
                "db_table": "payments_gateway_refund",
            },
        ),
        migrations.CreateModel(
            name="StoredMethod",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("gateway", models.CharField(max_length=20)),
                ("customer_ref", models.CharField(max_length=100)),
                ("method_ref", models.CharField(db_default="", default="", max_length=100)),
                ("label", models.CharField(db_default="", default="", max_length=100)),
                ("text", models.TextField(db_default="", default="")),
                ("text_hash", models.BinaryField(max_length=32, null=True)),
                ("given_by", models.CharField(db_default="", default="", max_length=100)),
                ("given_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("ended_by", models.CharField(db_default="", default="", max_length=100)),
                ("ended_why", models.TextField(db_default="", default="")),
            ],
            options={
                "db_table": "payments_stored_method",
            },
        ),
        migrations.RemoveConstraint(
            model_name="openingitem",
            name="opening_kind",
        ),
        migrations.RemoveConstraint(
            model_name="receipt",
            name="receipt_method",
        ),
        migrations.RemoveConstraint(
            model_name="refund",
            name="refund_method",
        ),
        migrations.AddField(
            model_name="mandate",
            name="bic",
            field=models.CharField(db_default="", default="", max_length=11),
        ),
        migrations.AddField(
            model_name="mandate",
            name="how",
            field=models.CharField(db_default="taken_over", default="taken_over", max_length=10),
        ),
        migrations.AddField(
            model_name="mandate",
            name="signed_by",
            field=models.CharField(db_default="", default="", max_length=200),
        ),
        migrations.AddField(
            model_name="mandate",
            name="text",
            field=models.TextField(db_default="", default=""),
        ),
        migrations.AddField(
            model_name="mandate",
            name="text_hash",
            field=models.BinaryField(max_length=32, null=True),
        ),
        migrations.AddConstraint(
            model_name="mandate",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("how", "taken_over"),
                    models.Q(
                        ("how__in", ["paper", "portal"]),
                        ("text_hash__isnull", False),
                        models.Q(("text", ""), _negated=True),
                        models.Q(("signed_by", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="mandate_was_signed",
            ),
        ),
        migrations.AddConstraint(
            model_name="openingitem",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["base", "overage", "other", "costs", "interest"])), name="opening_kind"
            ),
        ),
        AddConstraintNotValid(
            model_name="receipt",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "method__in",
                        [
                            "bank",
                            "cash",
                            "card",
                            "other",
                            "stripe",
                            "mollie",
                            "prepaid",
                            "credit",
                            "write_off",
                            "opening",
                        ],
                    )
                ),
                name="receipt_method",
            ),
        ),
        AddConstraintNotValid(
            model_name="refund",
            constraint=models.CheckConstraint(
                condition=models.Q(("method__in", ["bank", "cash", "card", "other", "stripe", "mollie"])),
                name="refund_method",
            ),
        ),
        migrations.AddField(
            model_name="agreement",
            name="account",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="customers.account"
            ),
        ),
        migrations.AddField(
            model_name="announcement",
            name="agreement",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.agreement"
            ),
        ),
        migrations.AddField(
            model_name="announcement",
            name="document",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="invoicing.document"
            ),
        ),
        migrations.AddField(
            model_name="announcement",
            name="opening",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.openingitem"
            ),
        ),
        migrations.AddField(
            model_name="claim",
            name="account",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="customers.account"
            ),
        ),
        migrations.AddField(
            model_name="claim",
            name="document",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="invoicing.document"
            ),
        ),
        migrations.AddField(
            model_name="claim",
            name="opening",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.openingitem"
            ),
        ),
        migrations.AddField(
            model_name="collection",
            name="account",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="customers.account"
            ),
        ),
        migrations.AddField(
            model_name="collection",
            name="mandate",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.mandate"
            ),
        ),
        migrations.AddField(
            model_name="collection",
            name="receipt",
            field=models.OneToOneField(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.receipt"
            ),
        ),
        migrations.AddField(
            model_name="collection",
            name="retry_of",
            field=models.OneToOneField(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.collection"
            ),
        ),
        migrations.AddField(
            model_name="claim",
            name="collection",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.collection"
            ),
        ),
        migrations.AddConstraint(
            model_name="collectionrun",
            constraint=models.CheckConstraint(condition=models.Q(("scheme__in", ["core", "b2b"])), name="run_scheme"),
        ),
        migrations.AddConstraint(
            model_name="collectionrun",
            constraint=models.CheckConstraint(
                condition=models.Q(("count__gt", 0), ("total__gt", 0)), name="run_holds_something"
            ),
        ),
        migrations.AddConstraint(
            model_name="collectionrun",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("handed_at__isnull", True), ("handed_by", "")),
                    models.Q(("handed_at__isnull", False), models.Q(("handed_by", ""), _negated=True)),
                    _connector="OR",
                ),
                name="run_handed_by_somebody",
            ),
        ),
        migrations.AddConstraint(
            model_name="collectionrun",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("cancelled_at__isnull", True), ("cancelled_by", ""), ("cancelled_why", "")),
                    models.Q(
                        ("cancelled_at__isnull", False),
                        ("handed_at__isnull", True),
                        models.Q(("cancelled_why", ""), _negated=True),
                        models.Q(("cancelled_by", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="run_cancelled_before_it_went",
            ),
        ),
        migrations.AddField(
            model_name="collection",
            name="run",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.collectionrun"
            ),
        ),
        migrations.AddField(
            model_name="gatewaydispute",
            name="back",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.receipt"
            ),
        ),
        migrations.AddField(
            model_name="gatewaydispute",
            name="rest",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.receipt"
            ),
        ),
        migrations.AddField(
            model_name="gatewaydispute",
            name="undone",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.receipt"
            ),
        ),
        migrations.AddIndex(
            model_name="gatewayevent",
            index=models.Index(
                condition=models.Q(("done_at__isnull", True)), fields=["received_at"], name="gateway_event_to_do"
            ),
        ),
        migrations.AddConstraint(
            model_name="gatewayevent",
            constraint=models.UniqueConstraint(fields=("gateway", "event_id"), name="gateway_event_once"),
        ),
        migrations.AddField(
            model_name="gatewaypayment",
            name="account",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="customers.account"
            ),
        ),
        migrations.AddField(
            model_name="gatewaypayment",
            name="receipt",
            field=models.OneToOneField(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.receipt"
            ),
        ),
        migrations.AddField(
            model_name="gatewaydispute",
            name="payment",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.gatewaypayment"
            ),
        ),
        migrations.AddField(
            model_name="claim",
            name="payment",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.gatewaypayment"
            ),
        ),
        migrations.AddField(
            model_name="announcement",
            name="payment",
            field=models.OneToOneField(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.gatewaypayment"
            ),
        ),
        migrations.AddConstraint(
            model_name="gatewaypayout",
            constraint=models.UniqueConstraint(fields=("gateway", "ref"), name="gateway_payout_once"),
        ),
        migrations.AddField(
            model_name="gatewayrefund",
            name="payment",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.gatewaypayment"
            ),
        ),
        migrations.AddField(
            model_name="gatewayrefund",
            name="refund",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.refund"
            ),
        ),
        migrations.AddField(
            model_name="storedmethod",
            name="account",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="customers.account"
            ),
        ),
        migrations.AddField(
            model_name="gatewaypayment",
            name="stored",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.storedmethod"
            ),
        ),
        migrations.AddField(
            model_name="agreement",
            name="stored",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.storedmethod"
            ),
        ),
        migrations.AddIndex(
            model_name="collection",
            index=models.Index(
                condition=models.Q(("state__in", ["planned", "filed"])), fields=["collect_on"], name="collection_open"
            ),
        ),
        migrations.AddIndex(
            model_name="collection",
            index=models.Index(condition=models.Q(("run__isnull", False)), fields=["run"], name="collection_by_run"),
        ),
        migrations.AddConstraint(
            model_name="collection",
            constraint=models.CheckConstraint(condition=models.Q(("amount__gt", 0)), name="collection_amount"),
        ),
        migrations.AddConstraint(
            model_name="collection",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ["planned", "filed", "handed", "collected", "returned", "refused", "cancelled"])
                ),
                name="collection_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="collection",
            constraint=models.CheckConstraint(
                condition=models.Q(("sequence__in", ["", "first", "recurring", "final", "one_off"])),
                name="collection_sequence",
            ),
        ),
        migrations.AddConstraint(
            model_name="collection",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ["planned", "cancelled"]),
                    models.Q(("run__isnull", False), ("state__in", ["filed", "refused"])),
                    models.Q(("final_on__isnull", False), ("run__isnull", False)),
                    _connector="OR",
                ),
                name="collection_in_a_file",
            ),
        ),
        migrations.AddConstraint(
            model_name="collection",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("receipt__isnull", False), models.Q(("state", "collected"), _negated=True), _connector="OR"
                ),
                name="collection_collected_has_receipt",
            ),
        ),
        migrations.AddConstraint(
            model_name="gatewaydispute",
            constraint=models.UniqueConstraint(fields=("payment", "ref"), name="gateway_dispute_once"),
        ),
        migrations.AddConstraint(
            model_name="gatewaydispute",
            constraint=models.CheckConstraint(condition=models.Q(("amount__gt", 0)), name="gateway_dispute_amount"),
        ),
        migrations.AddIndex(
            model_name="claim",
            index=models.Index(condition=models.Q(("ended_at__isnull", True)), fields=["account"], name="claim_live"),
        ),
        migrations.AddConstraint(
            model_name="claim",
            constraint=models.CheckConstraint(condition=models.Q(("amount__gt", 0)), name="claim_amount"),
        ),
        migrations.AddConstraint(
            model_name="claim",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("document__isnull", False), ("opening__isnull", True)),
                    models.Q(("document__isnull", True), ("opening__isnull", False)),
                    _connector="OR",
                ),
                name="claim_of_one_debt",
            ),
        ),
        migrations.AddConstraint(
            model_name="claim",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("collection__isnull", False), ("payment__isnull", True)),
                    models.Q(("collection__isnull", True), ("payment__isnull", False)),
                    _connector="OR",
                ),
                name="claim_by_one_means",
            ),
        ),
        migrations.AddConstraint(
            model_name="claim",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at__isnull", True)), fields=("document",), name="claim_of_document_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="claim",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at__isnull", True)), fields=("opening",), name="claim_of_opening_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="announcement",
            constraint=models.CheckConstraint(condition=models.Q(("amount__gt", 0)), name="announcement_amount"),
        ),
        migrations.AddConstraint(
            model_name="announcement",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at__isnull", True)),
                fields=("document",),
                name="announcement_of_document_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="announcement",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at__isnull", True)), fields=("opening",), name="announcement_of_opening_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="gatewayrefund",
            constraint=models.CheckConstraint(condition=models.Q(("amount__gt", 0)), name="gateway_refund_amount"),
        ),
        migrations.AddConstraint(
            model_name="gatewayrefund",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["made", "done", "failed"])), name="gateway_refund_state"
            ),
        ),
        migrations.AddConstraint(
            model_name="storedmethod",
            constraint=models.UniqueConstraint(
                condition=models.Q(("method_ref", "")),
                fields=("account", "gateway"),
                name="stored_method_customer_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="storedmethod",
            constraint=models.UniqueConstraint(
                condition=models.Q(models.Q(("method_ref", ""), _negated=True), ("ended_at__isnull", True)),
                fields=("gateway", "method_ref"),
                name="stored_method_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="storedmethod",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("method_ref", ""),
                    models.Q(
                        ("text_hash__isnull", False),
                        models.Q(("text", ""), _negated=True),
                        models.Q(("given_by", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="stored_method_was_agreed",
            ),
        ),
        migrations.AddConstraint(
            model_name="storedmethod",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at__isnull", True), ("ended_by", ""), ("ended_why", "")),
                    models.Q(
                        ("ended_at__gte", models.F("given_at")),
                        models.Q(("ended_by", ""), _negated=True),
                        models.Q(("ended_why", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="stored_method_ended_whole",
            ),
        ),
        migrations.AddIndex(
            model_name="gatewaypayment",
            index=models.Index(
                condition=models.Q(("state__in", ["made", "open", "pending"])),
                fields=["changed_at"],
                name="gateway_payment_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="gatewaypayment",
            constraint=models.CheckConstraint(condition=models.Q(("amount__gt", 0)), name="gateway_payment_amount"),
        ),
        migrations.AddConstraint(
            model_name="gatewaypayment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ("made", "open", "pending", "paid", "failed", "expired", "cancelled", "refused"))
                ),
                name="gateway_payment_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="gatewaypayment",
            constraint=models.CheckConstraint(
                condition=models.Q(("purpose__in", ("pay", "auto_pay", "top_up", "auto_top_up"))),
                name="gateway_payment_purpose",
            ),
        ),
        migrations.AddConstraint(
            model_name="gatewaypayment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("receipt__isnull", False), models.Q(("state", "paid"), _negated=True), _connector="OR"
                ),
                name="gateway_payment_paid_has_receipt",
            ),
        ),
        migrations.AddConstraint(
            model_name="gatewaypayment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("final_on__isnull", False), models.Q(("state", "pending"), _negated=True), _connector="OR"
                ),
                name="gateway_payment_pending_ends",
            ),
        ),
        migrations.AddConstraint(
            model_name="agreement",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ("auto_pay", "auto_top_up"))), name="agreement_kind"
            ),
        ),
        migrations.AddConstraint(
            model_name="agreement",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("amount__isnull", True), ("below__isnull", True), ("kind", "auto_pay")),
                    models.Q(
                        ("amount__gt", 0), ("below__gt", 0), ("kind", "auto_top_up"), ("most_a_month__isnull", False)
                    ),
                    _connector="OR",
                ),
                name="agreement_terms",
            ),
        ),
        migrations.AddConstraint(
            model_name="agreement",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at__isnull", True)),
                fields=("account", "kind"),
                name="agreement_one_in_force",
            ),
        ),
        migrations.AddConstraint(
            model_name="agreement",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at__isnull", True), ("ended_by", ""), ("ended_why", "")),
                    models.Q(
                        ("ended_at__gte", models.F("given_at")),
                        models.Q(("ended_by", ""), _negated=True),
                        models.Q(("ended_why", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="agreement_ended_whole",
            ),
        ),
    ]
