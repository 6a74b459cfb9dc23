"""DVC's cache and the outputs made from it, byte for byte.

DVC trusts a cache object by its name: one that was damaged is copied out without a word, and the copy
counts as up to date from then on. Here every object is read (once, see `regatta.verified`) and held
against its name, and every output that DVC calls unchanged against dvc.lock.
"""

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from dvc.repo import Repo

from flows.examining.machine import Place, room
from flows.examining.objects import DIR, Damaged, Need, children, from_here, md5_of, needs, objects, restore
from regatta.findings import Finding, examine, fault, fine
from regatta.manifest import MANIFEST, damages_in
from regatta.settings.home import home
from regatta.settings.outputs import PACKED, RAW
from regatta.verified import differing

REMAKE = "make doctor FIX=1, then dvc repro"
SHOWN = 3
"""Outputs that are named for one object."""
LEAST_FREE_GB = 2.0
HANDED_OVER = tuple(f"{place}/*/{MANIFEST}" for place in (RAW, PACKED, "trained"))


def cache_objects(fresh: bool = False) -> Iterator[Finding]:
    """Every object of the cache has the bytes that its name says."""
    with Repo() as repo:
        cache = _folder(repo)
    yield from room(Place("DVC's cache", cache, LEAST_FREE_GB))
    oids = dict(objects(cache))
    wrong, cost = differing(((path, oid.removesuffix(DIR)) for path, oid in oids.items()), "md5", fresh)
    damaged = [Damaged(path, oids[path], found) for path, found in wrong.items() if found]
    needed = needs(_projects(), cache) if damaged else {}
    for one in damaged:
        places = needed.get(one.oid, [])
        text = f"{from_here(one.path)} is damaged; {_told(places)}"
        yield fault(text, REMAKE, partial(restore, one, places))
    yield fine(f"{len(oids) - len(damaged)} of {len(oids)} objects are what their names say; {cost}")


def outputs(fresh: bool = False) -> Iterator[Finding]:
    """Outputs that DVC calls unchanged have the bytes that dvc.lock says.

    What DVC itself sees to be changed, `dvc repro` makes anew.
    """
    with Repo() as repo:
        kept = [out for out in repo.index.outs if out.use_cache and out.hash_info and not out.status()]
        expected = {path: (md5, out) for out in kept for path, md5 in _files(out, _folder(repo))}
        wrong, cost = differing(((path, md5) for path, (md5, _) in expected.items()), "md5", fresh)
        for path in wrong:
            out, name = expected[path][1], from_here(path)
            text = f"{name} does not hold what dvc.lock says, and DVC does not see it"
            yield fault(text, f"rm {name} && dvc checkout {out}", partial(_check_out, repo, path, out))
    right = len(expected) - len(wrong)
    yield fine(f"{right} of {len(expected)} files of outputs are what dvc.lock says; {cost}")


def manifests(fresh: bool = False) -> Iterator[Finding]:
    """Folders that one step hands to the next hold what their own manifests say.

    Damage may be older than DVC's first look: dvc.lock and the cache then agree on the damaged bytes. What
    is missing, DVC sees.
    """
    with Repo() as repo:
        cache = _folder(repo)
    folders = [path.parent for root in _projects() for place in HANDED_OVER for path in root.glob(place)]
    found = [damage for folder in folders for damage in damages_in(folder, fresh)[0] if damage.path.exists()]
    for damage in found:
        # What somebody has added may be dear to them.
        is_ours = damage.what != "was added"
        mend = partial(_forget, damage.path, cache) if is_ours else None
        name = from_here(damage.path)
        yield fault(f"{name} {damage.what}", REMAKE if is_ours else f"rm {name}", mend)
    if not found:
        yield fine(f"{len(folders)} folders of data and weights are what their manifests say")


def _folder(repo: Any) -> Path:
    """Where the objects lie."""
    return Path(cast(str, repo.cache.local.path))


def _projects() -> list[Path]:
    """This project, and the workspaces that share its cache."""
    return [Path.cwd(), *sorted(path.parent for path in home().glob("workspaces/*/dvc.lock"))]


def _told(places: Sequence[Need]) -> str:
    """Who needs an object."""
    if not places:
        return "no dvc.lock needs it now"
    names = list(dict.fromkeys(map(str, places)))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"needed by {', '.join(names[:SHOWN])}{more}"


def _files(out: Any, cache: Path) -> list[tuple[Path, str]]:
    """Files of an output, and the md5 that dvc.lock has for each."""
    return children(Path(out.fs_path), out.hash_info.value, cache)


def _check_out(repo: Any, path: Path, out: Any) -> None:
    """Let DVC put the cache's bytes there; it looks no further than whether a file is there."""
    path.unlink(missing_ok=True)
    repo.checkout(targets=[out.fs_path], force=True)


def _forget(path: Path, cache: Path) -> None:
    """Remove a file and the object of its bytes: DVC makes both again."""
    md5 = md5_of(path)
    (cache / md5[:2] / md5[2:]).unlink(missing_ok=True)
    path.unlink()


CHECKS = (cache_objects, outputs, manifests)

if __name__ == "__main__":
    # What a disk did without a trace is seen by reading again what looks unchanged.
    checks = [partial(check, fresh=True) for check in CHECKS] if "--fresh" in sys.argv else CHECKS
    examine(checks, fix="--fix" in sys.argv)
