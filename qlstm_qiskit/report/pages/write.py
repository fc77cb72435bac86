"""One self-contained HTML page for a run, a study or a scaling folder; it needs no network."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlstm_qiskit import __version__
from qlstm_qiskit.errors import OptionError, RunError, installing
from qlstm_qiskit.storage import exists, write_atomically

if TYPE_CHECKING:
    from qlstm_qiskit.report.pages.content import Page


@dataclass(frozen=True)
class Written:
    """A page that was written.

    Attributes:
        kind: Of the folder: "run", "audit", "study" or "scaling".
        out: The file.
        size: Of it, in bytes.
        sections: Titles.
        figures: Names.
    """

    kind: str
    out: Path
    size: int
    sections: tuple[str, ...]
    figures: tuple[str, ...]


def write_report(path: Path | str, out: Path | str, *, backend: str | None = None, backends: Path | None = None) -> Written:
    """Write the page of a folder. Nothing is submitted anywhere.

    Args:
        path: A run folder, or one that `qlstm table`, `qlstm audit` or `qlstm scaling` has made.
        out: The file, which ends in .html; an existing one is replaced.
        backend: For a run: a backend on this machine that has a device; its circuits are fitted to it, and its cost planned.
        backends: A file of such entries in place of ./backends.yaml.

    Raises:
        RunError: The folder is none of these, is damaged or not finished, or the file cannot be written.
        OptionError: plotly or jinja2 is not installed, or an option is not allowed.
    """
    path, out = Path(path), Path(out)
    for package in ("plotly", "jinja2"):
        if find_spec(package) is None:
            raise OptionError(f"a report page needs {package}: {installing('report')}.")
    if out.suffix.lower() not in (".html", ".htm"):
        raise OptionError(f"out is {out}; a report page is a file that ends in .html.")
    if not exists(out.parent):
        raise RunError(f"there is no folder {out.parent} to write {out.name} into; make it first.")
    kind = folder_kind(path)
    if backend is not None and kind != "run":
        raise OptionError(f"--backend goes with a run folder; {path} is that of a {kind}.")
    page = _page(kind, path, backend, backends)
    text = render(page)
    write_atomically(out, text)
    titles = tuple(section.title for section in page.sections)
    return Written(kind, out, len(text.encode()), titles, tuple(plot.name for plot in page.plots))


def folder_kind(path: Path) -> str:
    """What a folder holds, by its files: "run", "audit", "study" or "scaling".

    Raises:
        RunError: None of these, or it is not there.
    """
    # here, as figures of a run, which this package is imported for, need neither
    from qlstm_qiskit.experiments.runs.load import CONFIG
    from qlstm_qiskit.experiments.scaling.measure import POINTS
    from qlstm_qiskit.experiments.studies.audited import AUDIT
    from qlstm_qiskit.experiments.studies.records import RECORDS, STUDY

    if not exists(path):
        raise RunError(f"there is no folder {path}; give a run folder, or the folder of a study or of `qlstm scaling`.")
    for kind, names in (("run", (CONFIG,)), ("audit", (AUDIT,)), ("study", (STUDY, RECORDS)), ("scaling", (POINTS,))):
        if all(exists(path / name) for name in names):
            return kind
    raise RunError(
        f"{path} holds no run ({CONFIG}), no study with finished runs ({STUDY}, {RECORDS}) and no scaling ({POINTS}); "
        "give a folder that `qlstm train`, `table` or `scaling` has made."
    )


def _page(kind: str, path: Path, backend: str | None, backends: Path | None) -> Page:
    if kind == "run":
        from qlstm_qiskit.report.pages.run import run_page

        return run_page(path, backend, backends)
    if kind == "audit":
        from qlstm_qiskit.report.pages.audit import audit_page

        return audit_page(path)
    if kind == "study":
        from qlstm_qiskit.report.pages.study import study_page

        return study_page(path)
    from qlstm_qiskit.report.pages.scaling import scaling_page

    return scaling_page(path)


def render(page: Page) -> str:
    """The page as HTML. All of its text is escaped, and only the page's own two scripts may run, by their hashes.

    Plotly, the figures and the files are packed, since Plotly alone has 4.8 MB.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    loader = PackageLoader("qlstm_qiskit.report.pages", "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    script, plotly = environment.get_template("page.js").render(), get_plotlyjs() if page.plots else ""
    content = {
        "plotly": plotly,
        "figures": {plot.name: plot.figure for plot in page.plots},
        "files": {name: [file.kind, file.text] for name, file in page.files.items()},
    }
    return environment.get_template("page.html.j2").render(
        page=page,
        content=packed(content),
        script=script,
        script_hashes=" ".join(_hash(text) for text in (plotly, script)),
        version=__version__,
    )


def packed(content: Mapping[str, Any]) -> str:
    """Plain data as JSON, compressed by gzip, as letters of HTML: base 85 of RFC 1924, with a point for its "<"."""
    return base64.b85encode(gzip.compress(json.dumps(content).encode(), mtime=0)).decode().replace("<", ".")


def _hash(script: str) -> str:
    """What a content security policy calls a script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
