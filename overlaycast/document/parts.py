"""The base of all models that a YAML file of a user is made of, and their plain types. Pure.

Owns: how an unknown or missing field is reported. Invariant: a complaint names what is accepted.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

Seconds = Annotated[float, Field(ge=0, le=86_400)]
Slug = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Target = Annotated[str, Field(min_length=1, max_length=100)]


def only_known(model: type[BaseModel], values: Any) -> Any:
    """Return ``values``, or complain about what ``model`` does not know."""
    if not isinstance(values, dict):
        raise field_error("a mapping is accepted, with the fields " + ", ".join(names(model)))
    for key in values:
        if key not in names(model):
            raise field_error(f"unknown field {key!r}; accepted: {', '.join(names(model))}", str(key))
    return values


def field_error(complaint: str, field: str | None = None) -> PydanticCustomError:
    """Return an error with our own text, about a field of the mapping that is being checked."""
    where = {} if field is None else {"field": field}
    return PydanticCustomError("field_error", "{complaint}", {"complaint": complaint, **where})


def names(model: type[BaseModel]) -> list[str]:
    """Return the fields of a model as a file writes them."""
    return [field.alias or name for name, field in model.model_fields.items()]


class Part(BaseModel):
    """A frozen part of a document that names what it accepts."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, values: Any) -> Any:
        return values if isinstance(values, cls) else only_known(cls, values)
