"""Fields that several requests share: their types, and how a text is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, JsonValue, ValidationError

from f5serve.service.request_errors import MAX_NAME_CHARS, MAX_REQUEST_RULES, refusal
from f5serve.synthesis.synthesizer import RANGES
from f5serve.text.language import MAX_TAG_CHARS, canonical_tag
from f5serve.text.lexicon import Lexicon
from f5serve.text.lexicon_rules import parse_rules
from f5serve.text.spoken import unnormalized_kinds
from f5serve.text_kinds import TEXT_KINDS, TextKind
from f5serve.types import Voice


def lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def lower_each(value: Any) -> Any:
    return [lower(one) for one in value] if isinstance(value, list) else lower(value)


def within(name: str) -> Any:
    low, high = RANGES[name]
    return Field(ge=low, le=high, strict=True, allow_inf_nan=False)


Name = Annotated[str, Field(strict=True, max_length=MAX_NAME_CHARS)]
Flag = Annotated[bool, Field(strict=True)]


def own_fields_first(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Order the properties of a JSON schema: pydantic puts inherited fields first."""
    own = model.__annotations__
    properties = schema["properties"]
    schema["properties"] = {
        name: properties[name] for name in sorted(properties, key=lambda name: name not in own)
    }


class Request(BaseModel):
    """Base of requests whose errors are ours; unknown fields pass."""

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> Self:
        """The request in `payload`.

        Raises:
            InvalidRequest: BAD_OPTION, naming the field, its value and what it takes; EMPTY_TEXT.
        """
        try:
            return cls.model_validate(payload)
        except ValidationError as error:
            raise refusal(error.errors()[0], payload) from None


Tag = Annotated[str, Field(strict=True, max_length=MAX_TAG_CHARS), AfterValidator(canonical_tag)]


def _check_rules(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    parse_rules(rules)
    return rules


class TextFields(BaseModel):
    """How a text is read, at each entrypoint."""

    language: Tag | None = Field(
        None,
        description="Of the text, a BCP 47 tag. Without it: what the text itself shows, then the "
        "voice's.",
        examples=["pt-BR"],
    )
    normalize: (
        Literal["auto", "on", "off"]
        | Annotated[list[TextKind], Field(max_length=len(TEXT_KINDS))]
        | None
    ) = Field(
        None,
        description="Whether numbers, dates, signs and abbreviations are read as words; a list "
        "names the kinds that are left as they are. Without it: what the voice says, then "
        "F5_NORMALIZE.",
    )
    lexicon: (
        Annotated[
            list[dict[str, JsonValue]],
            Field(max_length=MAX_REQUEST_RULES),
            AfterValidator(_check_rules),
        ]
        | None
    ) = Field(
        None,
        description="Rules of pronunciation for this text, as /v1/lexicons has them; they come "
        "before those of the voice and of the library.",
        examples=[[{"text": "SQL", "alias": "sequel"}]],
    )

    def unnormalized(self, voice: Voice, default: str) -> frozenset[str]:
        """Kinds of rules that are not used: the request decides, then the voice, then `default`."""
        return unnormalized_kinds(self.normalize or voice.normalize or default)

    @property
    def rules(self) -> Lexicon:
        """The request's own rules of pronunciation."""
        return Lexicon(parse_rules(self.lexicon or []))
