"""The words for kinds of account, roles of contacts, and ways to reach them."""

from django.db import models


class AccountKind(models.TextChoices):
    """What kind of person an account is; prices, tax and law differ by it."""

    CONSUMER = "consumer"
    BUSINESS = "business"
    PUBLIC = "public"


class Role(models.TextChoices):
    """What a contact is told about."""

    OWNER = "owner"
    BILLING = "billing"
    TECHNICAL = "technical"
    ABUSE = "abuse"


class Channel(models.TextChoices):
    """How a contact may be reached."""

    EMAIL = "email"
    SMS = "sms"
    POST = "post"
    PORTAL = "portal"
