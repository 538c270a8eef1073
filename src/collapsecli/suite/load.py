"""Suite files in, Suites out, or every fault of all of them at once."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from collapsecli.errors import Fault, SuiteError
from collapsecli.suite import builtin, faults, files, forms, prompts, schema
from collapsecli.suite.draft import WHOLE_FILE, Draft, Source, Suite, Use
from collapsecli.suite.encoders import check_embedded, check_shared
from collapsecli.suite.shared import share_out
from collapsecli.suite.tree import MAX_BYTES, Node, Place, read_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def load(path: Path) -> Suite:
    """The suite in a file. Raises SuiteError with every fault, each at its place."""
    return load_all([path])[0]


def load_all(paths: Sequence[Path]) -> tuple[Suite, ...]:
    """The suites in some files, no name and no prompt id given twice. Raises SuiteError as `load` does."""
    drafts = [_draft(path) for path in paths]
    found = [fault for draft in drafts for fault in draft.faults]
    found += _repeats([use for draft in drafts for use in draft.ids], "the prompt id `{}` is taken")
    names = [Use(draft.name, draft.file, draft.name_place) for draft in drafts if draft.name]
    found += _repeats(names, "the suite name `{}` is taken")
    if found:
        raise SuiteError(faults.unique(found))
    return tuple(draft.suite() for draft in drafts)


# ------------------------------------------------------------------------------------------------------- one file


def _draft(path: Path) -> Draft:
    draft = Draft(path)
    try:
        with path.open("rb") as file:
            draft.content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        draft.fault(WHOLE_FILE, f"cannot be read: {_reason(error)}", _built_in(path))
        return draft
    tree = read_tree(draft.content, draft.file)
    draft.faults += tree.faults
    if tree.root is not None:
        _read_suite(draft, tree.root)
    return draft


def _built_in(path: Path) -> str:
    """For a bare name that is no file: the built-in suites, the nearest one first."""
    if path.suffix or path.name != str(path):
        return ""
    return faults.near(path.name, builtin.names()) or f"built in are {', '.join(builtin.names())}"


def _read_suite(draft: Draft, root: Node) -> None:
    if not isinstance(root.data, dict):
        draft.fault(
            root.place, f"a suite is a mapping of keys, not {faults.shown(root.data)}", "start with `schema: 1`"
        )
        return
    try:
        draft.settings = schema.SuiteFile.model_validate(root.data)
    except ValidationError as error:
        draft.faults += faults.faults_of(error, root, draft.file)
    _read_name(draft, root)
    _read_prompts(draft, root)


def _read_name(draft: Draft, root: Node) -> None:
    """The name given, or else the file's, made readable."""
    given = root.data.get("name")
    if isinstance(given, str):
        draft.name, draft.name_place = given, root.at(("name",)).place
    else:
        draft.name = re.sub(r"[^A-Za-z0-9._-]+", "-", draft.path.stem).lstrip("._-")[:64] or "suite"


def _read_prompts(draft: Draft, root: Node) -> None:
    """Every prompt that is sound, whatever is wrong with the others."""
    default = faults.read(schema.EXPECT, root.data.get("expect", "diverse"))
    listed = root.data.get("prompts")
    for index, data in enumerate(listed if isinstance(listed, tuple) else ()):
        node = root.at(("prompts", index))
        entry = faults.read(prompts.ENTRY, data)
        if isinstance(entry, prompts.PromptFile):
            _read_file(draft, entry, node)
        else:
            _note_id(draft, node)
            if entry is not None:
                draft.prompts.append(entry)
                draft.note_roads(entry, node)
        if entry is not None and default is not None:
            _check_default(draft, root, entry, default)
        if entry is not None:
            check_embedded(draft, root, entry, node)
    share_out(draft, root)
    check_shared(draft, root)
    _check_size(draft, root)


def _note_id(draft: Draft, node: Node) -> None:
    given = node.data.get("id") if isinstance(node.data, dict) and "file" not in node.data else None
    if isinstance(given, str):
        draft.ids.append(Use(given, draft.file, node.at(("id",)).place))


def _check_default(draft: Draft, root: Node, entry: prompts.Prompt | prompts.PromptFile, default: forms.Expect) -> None:
    """The suite's own `expect` must fit every prompt that does not bring one."""
    if entry.expect is not None:
        return
    try:
        forms.expectation(default, entry.answer)
    except PydanticCustomError as error:
        context = error.context or {}
        message = f"{context.get('message')}: the suite's `expect` does not fit the prompt `{entry.id}`"
        draft.fault(root.at(("expect",)).place, message, str(context.get("hint", "")))


def _check_size(draft: Draft, root: Node) -> None:
    cells = sum(map(prompts.cell_count, draft.prompts))
    if cells > schema.MAX_CELLS:
        message = f"the suite plans {cells} cells; at most {schema.MAX_CELLS}"
        draft.fault(root.at(("prompts",)).place, message, "fewer values in `vars`, or several suites")


def _repeats(uses: Sequence[Use], message: str) -> Iterator[Fault]:
    first: dict[str, Use] = {}
    for use in uses:
        known = first.setdefault(use.name, use)
        if known is not use:
            place = f"{known.file}:{known.place.line}" if known.place.line else known.file
            yield Fault(use.file, use.place.line, use.place.column, message.format(use.name), f"by {place}")


# ------------------------------------------------------------------------------------------------ files of prompts


def _read_file(draft: Draft, entry: prompts.PromptFile, node: Node) -> None:
    """The prompts of a file, each row a prompt with the entry's other keys."""
    path = draft.path.parent / entry.file
    place = node.at(("file",)).place
    if path.suffix not in files.READERS:
        draft.fault(place, f"`{entry.file}` is no file of prompts", f"known: {', '.join(files.READERS)}")
        return
    content = _content(draft, path, place)
    if content is None:
        return
    draft.files.append(Source(path, hashlib.sha256(content).hexdigest()))
    count = 0
    for count, row in enumerate(files.rows(path.suffix, content, (entry.id, entry.text)), start=1):  # noqa: B007  counted
        _read_row(draft, str(path), entry, node, row)
    if not count:
        draft.faults.append(Fault(str(path), 0, 0, "the file has no rows"))


def _content(draft: Draft, path: Path, place: Place) -> bytes | None:
    try:
        if not path.is_file():  # nor a pipe, which would block
            draft.fault(place, f"there is no file `{path}`", "the path is relative to the suite's")
            return None
        if path.stat().st_size > files.MAX_BYTES:
            draft.fault(place, f"`{path}` is larger than {files.MAX_BYTES // 2**20} MiB")
            return None
        return path.read_bytes()
    except (OSError, ValueError) as error:
        draft.fault(place, f"`{path}` cannot be read: {_reason(error)}")
        return None


def _read_row(draft: Draft, file: str, entry: prompts.PromptFile, node: Node, row: files.Row | files.BadRow) -> None:
    column = 1 if row.line else 0
    if isinstance(row, files.BadRow):
        draft.faults.append(Fault(file, row.line, column, row.message))
        return
    missing = [name for name in (entry.id, entry.text) if row.values.get(name) is None]
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        has = ", ".join(map(str, row.values))
        draft.faults.append(Fault(file, row.line, column, f"the row has no {names}", f"it has: {has}"))
        return
    given = row.values[entry.id]
    shared = {key: value for key, value in node.data.items() if key not in ("file", "id", "text")}
    name = str(given) if type(given) is int else given  # numbered rows are common, and a number is readable
    try:
        prompt = prompts.PROMPT.validate_python(
            {**shared, "id": name, "text": row.values[entry.text]}, context=prompts.ROW
        )
    except ValidationError as error:
        messages, hints = zip(*faults.messages_of(error), strict=True)
        draft.faults.append(Fault(file, row.line, column, "; ".join(messages), next(filter(None, hints), "")))
        return
    draft.ids.append(Use(prompt.id, file, Place(row.line, column)))
    draft.prompts.append(prompt)
    draft.note_roads(prompt, node)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
