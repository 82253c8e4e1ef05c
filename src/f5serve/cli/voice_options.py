"""The options of `f5serve voices`; see `options.py`."""

from __future__ import annotations

from typing import Any


def add_voices(verbs: Any) -> None:
    """The options of `voices`."""
    parser = verbs.add_parser("voices", help="voices that can be asked for by name")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="all of them: the library's and those built in")
    adding = actions.add_parser("add", help="keep a recording under a name, or as a style")
    removing = actions.add_parser(
        "remove", aliases=["delete"], help="remove a voice of the library, or a style, for good"
    )
    sweeping = actions.add_parser(
        "gc", help="remove recordings that no voice refers to any more, an hour after they were put"
    )
    importing = actions.add_parser(
        "import",
        help="keep every recording of a folder",
        description="Keep every recording of a folder under its file's name. Its words are read "
        "from a .txt, .srt or .csv file of the same name, or from a table in the folder whose "
        "first line is file,text. Exit code 3 when a recording could not be used.",
    )

    adding.add_argument("name", metavar="NAME")
    adding.add_argument("file", metavar="FILE", help="wav, flac, mp3, ogg or m4a")
    adding.add_argument("--ref-text", metavar="T", help="the words spoken in it")
    adding.add_argument("--ref-text-file", metavar="F", help="or a file; default: FILE's .txt")
    adding.add_argument("--language", default="", metavar="TAG", help="BCP 47, e.g. en or pt-BR")
    normalize = "of its texts: auto, on, off, or kinds to leave alone, e.g. date,money"
    adding.add_argument("--normalize", default="", metavar="X", help=normalize)
    adding.add_argument(
        "--style", metavar="S", help="keep it as this style of the voice NAME, e.g. happy"
    )
    removing.add_argument("name", metavar="NAME")
    removing.add_argument("--style", metavar="S", help="remove this style of it alone")
    removing.add_argument(
        "--with-results",
        action="store_true",
        help="and all speech that was made in it: jobs, their audio, texts and word times",
    )
    sweeping.add_argument("--dry-run", action="store_true", help="only print what would go")
    importing.add_argument("folder", metavar="FOLDER")
    for action in (adding, importing):
        action.add_argument("--consent-by", metavar="WHO", help="who attests the speaker's consent")
    for action in (listing, adding, removing, sweeping, importing):
        action.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.set_defaults(run="voices.run")
