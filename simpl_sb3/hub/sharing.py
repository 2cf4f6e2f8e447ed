"""``push_to_hub`` and ``load_from_hub``: one commit up, one checked file down."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any

from simpl_sb3.errors import HubError, ModelFileError, SettingsError, SimplError
from simpl_sb3.files import read_regular
from simpl_sb3.hub.card import findings, model_card
from simpl_sb3.hub.files import MODEL, SKILLS, Facts, check_file, facts_of, model_skills, write_sealed
from simpl_sb3.results.provenance import command_line, git_revision, machine, package_versions, plain
from simpl_sb3.results.rows import ResultFile, read_results
from simpl_sb3.skills.base import Skills

__all__ = ["load_from_hub", "push_to_hub"]

PROVENANCE, CARD, VIDEO, ROWS = "provenance.json", "README.md", "replay.mp4", "simpl_sb3_results"
"""Names in a repository: what made the model, the model card, a film, and a folder of result rows."""
BESIDE = (PROVENANCE, "run.json")
"""Where provenance is looked for beside a file."""
MAX_JSON_BYTES = 50_000_000
StrPath = str | PathLike[str]

# ------------------------------------------------------------ up


def push_to_hub(
    source: Skills | StrPath,
    repo_id: str,
    *,
    provenance: StrPath | Mapping[str, Any] | None = None,
    results: Sequence[StrPath] = (),
    video: StrPath | None = None,
    license_name: str | None = None,
    private: bool | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
    token: str | None = None,
    endpoint: str | None = None,
) -> str:
    """
    Upload a model in one commit: the model, its skills, what made it, result rows, a film, and a model card.

    An earlier model's card, film and rows in the repository are replaced or removed by the same commit; other files
    stay.

    :param source: skills, a file of a model or of skills, or a folder that holds one; of a model in memory see
        ``SkillPriorPEARL.push_to_hub``
    :param repo_id: "user/name"; the repository is made where there is none
    :param provenance: a JSON, or what it holds; by default ``provenance.json`` or ``run.json`` beside the file, or
        where there is none the command and versions of this process
    :param results: CSV files of ``simpl-sb3 adapt``, or folders of them, whose values the card gives
    :param video: an MP4
    :param license_name: the model's, as the hub writes it, such as "mit"
    :param private: whether a new repository is private; None takes the account's default
    :param revision: branch to commit to; "main" by default
    :param commit_message: of the commit
    :param token: of the hub; by default HF_TOKEN, or what ``hf auth login`` stored
    :param endpoint: another hub's address; HF_ENDPOINT by default
    :return: address of the commit
    :raises ModelFileError: for a source that is no model
    :raises ResultsError: for rows that cannot be read
    :raises SettingsError: without the extra hub, or for a film or provenance that is none
    :raises HubError: where the hub cannot be reached, or refuses
    """
    hub = _huggingface_hub()
    _check_name(repo_id)
    with tempfile.TemporaryDirectory() as folder:
        files, facts, beside = _written(source, Path(folder))
        record = _provenance(provenance, beside, facts)
        rows = [file for place in results for file in read_results(place)]
        files |= _row_files(rows) | ({} if video is None else {VIDEO: _film(Path(video))})
        card = model_card(
            repo_id,
            facts,
            record,
            findings(rows),
            license_name=license_name,
            video=None if video is None else VIDEO,
        )
        contents: dict[str, Path | bytes] = {
            **files,
            PROVENANCE: json.dumps(record, indent=1).encode(),
            CARD: card.encode(),
        }
        with _asked(repo_id):
            return _commit(
                hub, repo_id, contents, revision, private, commit_message or f"Upload {facts.kind}", token, endpoint
            )


def _written(source: Skills | StrPath, folder: Path) -> tuple[dict[str, Path], Facts, Path | None]:
    """Model and skills as sealed files of a folder, what they say, and where they come from."""
    skills_file, model_file = folder / SKILLS, folder / MODEL
    if isinstance(source, Skills):
        source.save(skills_file)
        return {SKILLS: skills_file}, facts_of(skills_file), None
    if not isinstance(source, str | PathLike):
        raise SettingsError(
            f"push_to_hub was given a {type(source).__name__}: expected skills or a path; a model has a method "
            "push_to_hub of its own."
        )
    path = Path(source)
    if path.is_dir():
        inside = [path / name for name in (MODEL, SKILLS) if (path / name).is_file()]
        if not inside:
            raise ModelFileError(f"{path} holds neither {MODEL} nor {SKILLS}: expected a folder with one of them.")
        path = inside[0]
    if path.suffix == ".safetensors":
        return {SKILLS: skills_file}, write_sealed(path, skills_file), path.parent
    facts = write_sealed(path, model_file)
    model_skills(model_file).save(skills_file)
    return {MODEL: model_file, SKILLS: skills_file}, facts, path.parent


def _provenance(given: StrPath | Mapping[str, Any] | None, beside: Path | None, facts: Facts) -> dict[str, Any]:
    """What made a model, without absolute paths."""
    if isinstance(given, Mapping):
        return dict(plain(given, "provenance"))
    if given is None and beside is not None:
        given = next((beside / name for name in BESIDE if (beside / name).is_file()), None)
    if given is None:
        own = {"schema_version": 1, "stage": "push", "command": command_line(), "settings": dict(facts.settings)}
        own |= {"git": dict(git_revision()), "machine": machine(), "versions": package_versions()}
        return dict(plain(own, "provenance"))
    try:
        record = json.loads(read_regular(given, MAX_JSON_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{given} is no provenance ({error}): expected a JSON such as run.json.") from None
    if not isinstance(record, dict):
        raise SettingsError(f"{given} is no provenance: expected a JSON object such as run.json holds.")
    return dict(plain(record, "provenance"))


def _row_files(rows: Sequence[ResultFile]) -> dict[str, Path]:
    """Each CSV and the JSON beside it, by its name in the repository."""
    found: dict[str, Path] = {}
    for file in rows:
        for path in (file.path, file.path.with_suffix(".json")):
            name = f"{ROWS}/{path.name}"
            if name in found:
                raise SettingsError(f"Two results are named {path.name}: expected names of their own.")
            if path.is_file():
                found[name] = path
    return found


def _film(path: Path) -> Path:
    if path.suffix != ".mp4" or not path.is_file():
        raise SettingsError(f"The video is {path}: expected an MP4 file that is there.")
    return path


def _commit(
    hub: ModuleType,
    repo_id: str,
    contents: Mapping[str, Path | bytes],
    revision: str | None,
    private: bool | None,
    message: str,
    token: str | None,
    endpoint: str | None,
) -> str:
    api = hub.HfApi(endpoint=_address(endpoint), token=token, **_who())
    if not (token or hub.get_token()):
        raise HubError(
            "There is no token for the hub: expected token=..., the variable HF_TOKEN, or `hf auth login` once."
        )
    api.create_repo(repo_id, private=private, exist_ok=True)
    standing = api.model_info(repo_id, revision=revision)
    ours = {file.rfilename for file in standing.siblings or () if _is_ours(file.rfilename)}
    operations = [hub.CommitOperationAdd(name, content) for name, content in contents.items()]
    operations += [hub.CommitOperationDelete(name) for name in sorted(ours - contents.keys())]
    done = api.create_commit(repo_id, operations, commit_message=message, revision=revision, parent_commit=standing.sha)
    return str(done.commit_url)


def _is_ours(name: str) -> bool:
    return name in (MODEL, SKILLS, PROVENANCE, CARD, VIDEO) or name.startswith(f"{ROWS}/")


# ------------------------------------------------------------ down


def load_from_hub(
    repo_id: str,
    filename: str = MODEL,
    *,
    revision: str | None = None,
    sha256: str | None = None,
    token: str | None = None,
    endpoint: str | None = None,
    cache_dir: StrPath | None = None,
) -> Path:
    """
    Download one file of :func:`push_to_hub`, and check it: kind, seal, and that it holds data alone. Its path is for
    ``SkillPriorPEARL.load``, ``SkillModel.load`` and their like; nothing in it is run, here or there.

    :param repo_id: "user/name"
    :param filename: "model.zip" or "skills.safetensors", or another name with such an ending
    :param revision: branch, tag or commit; a commit's hash always means the same file
    :param sha256: of the file, where it is known: any other is refused
    :param token: of the hub, for a private repository; by default HF_TOKEN, or what ``hf auth login`` stored
    :param endpoint: another hub's address; HF_ENDPOINT by default
    :param cache_dir: where downloads are kept; the hub's own folder by default
    :return: the file, in the cache
    :raises ModelFileError: for a file of another kind, a damaged one, or another SHA-256
    :raises SettingsError: without the extra hub
    :raises HubError: where the hub cannot be reached, or has no such file
    """
    if Path(filename).suffix not in (".zip", ".safetensors"):
        raise ModelFileError(
            f"{filename} is not loaded: expected a model (.zip) or skills (.safetensors); other kinds can hold code."
        )
    hub = _huggingface_hub()
    _check_name(repo_id)
    with _asked(repo_id, filename):
        path = Path(
            hub.hf_hub_download(
                repo_id,
                filename,
                revision=revision,
                token=token,
                endpoint=_address(endpoint),
                cache_dir=cache_dir,
                **_who(),
            )
        )
    try:
        check_file(path, sha256)
    except ModelFileError:
        path.resolve().unlink(missing_ok=True)  # the cache would give the same damaged file again
        path.unlink(missing_ok=True)
        raise
    return path


# ------------------------------------------------------------ the library of the hub


def _huggingface_hub() -> ModuleType:
    """
    :raises SettingsError: where the extra is missing
    """
    try:
        return import_module("huggingface_hub")
    except ImportError as error:
        raise SettingsError(f"The model hub needs huggingface_hub ({error}): pip install 'simpl-sb3[hub]'") from error


def _check_name(repo_id: str) -> None:
    """
    :raises HubError: for a repository without its owner's name
    """
    if not isinstance(repo_id, str) or repo_id.count("/") != 1:
        raise HubError(f"{repo_id!r} is no name of a repository: expected user/name.")


def _who() -> dict[str, str]:
    """Which library asks, for the hub's log."""
    return {"library_name": "simpl-sb3", "library_version": version("simpl-sb3")}


def _address(endpoint: str | None) -> str | None:
    """The hub's address where it is another than the usual one; HF_ENDPOINT as it is now."""
    return endpoint or os.environ.get("HF_ENDPOINT") or None


@contextmanager
def _asked(repo_id: str, filename: str = "") -> Iterator[None]:
    """Make one message of whatever fails while the hub is asked."""
    try:
        yield
    except SimplError:
        raise
    except Exception as error:  # the library and its HTTP client have many kinds
        raise HubError(f"{repo_id}: {_reason(error, filename)}") from error


def _reason(error: BaseException, filename: str) -> str:
    """What went wrong and what to do, from the library's error."""
    from huggingface_hub import errors

    cause = error.__cause__
    wraps = isinstance(error, errors.LocalEntryNotFoundError) and isinstance(cause, errors.HfHubHTTPError)
    if cause is not None and (wraps or type(error) is RuntimeError):
        return _reason(cause, filename)
    kinds: tuple[tuple[type[BaseException], str], ...] = (  # the first that fits
        (
            errors.LocalEntryNotFoundError,
            f"the hub cannot be reached, and {filename} is not in the cache ({_first_line(cause or error)}).",
        ),
        (errors.GatedRepoError, "its owner has to admit you: ask on the repository's page, and give a token."),
        (
            errors.RepositoryNotFoundError,
            "the hub has no such repository, or it is private: expected user/name, and for a private one a token.",
        ),
        (errors.RevisionNotFoundError, "it has no such revision: expected a branch, a tag or a commit."),
        (
            errors.EntryNotFoundError,
            f"it has no file {filename}: expected one that push_to_hub uploaded, such as {MODEL} or {SKILLS}.",
        ),
        (
            errors.HFValidationError,
            f"it is no name of a repository: expected user/name ({_first_line(error)}).",
        ),
    )
    for kind, text in kinds:
        if isinstance(error, kind):
            return text
    return _answer(getattr(getattr(error, "response", None), "status_code", None), error)


def _answer(status: int | None, error: BaseException) -> str:
    """The same for an answer of the hub's that has no kind of its own; None for no answer."""
    if status in (401, 403):
        return f"the hub refuses ({status}): expected a token that may write there."
    if status == 412:
        return "someone else committed at the same time: try again."
    if status is not None:
        return f"the hub answered with an error ({status}; {_first_line(error)}): try again later."
    return f"the hub cannot be reached ({_first_line(error)}): is there a network?"


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:300]}" if text else type(error).__name__
