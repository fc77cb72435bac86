"""The documentation, by Sphinx: `make docs`. Nothing is fetched, no notebook is executed."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import pages  # noqa: E402 - beside this file

import qlstm_qiskit  # noqa: E402

project = "qlstm_qiskit"
author = "The qlstm_qiskit developers"
release = version = qlstm_qiskit.__version__
html_title = f"qlstm_qiskit {release}"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # MathJax itself comes with the site: no network when it is built, none when it is read
]
default_role = "code"  # docstrings write names between single backticks

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_copy_source = False
html_show_copyright = False

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # outputs are those that are committed
mathjax3_config = {
    "tex": {"macros": {"bra": [r"\langle #1|", 1], "ket": [r"|#1\rangle", 1], "mean": [r"\langle #1\rangle", 1]}}
}

autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "exclude-members": "set_fit_request, set_predict_request, set_score_request, model_config",
}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_param = False  # several arguments may share a line
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]  # as arguments: several may share a line

# What cannot be linked. Nothing else may be missing.
nitpick_ignore_regex = [
    # types of other packages: only an inventory from the network would know them
    (r"py:.*", r"(torch|nn|qiskit\w*|numpy|np|pandas|pd|matplotlib|sklearn|skorch|pydantic|annotated_types|typing)\..*"),
    (
        r"py:.*",
        r"(collections|pathlib|types|fractions)\..*|Tensor|Callback|Path|Any|FieldInfo|ValidationError|NotFittedError|NoneType|Positive(Int|Float)|EstimatorQNN|TorchConnector",
    ),
    # types that appear in signatures and are not public: they live in modules below the public packages
    (r"py:.*", r"qlstm_qiskit\.\w+\.\w+(\.\w+)+|PlanBackend|TranspileReport"),
]


def prepare_docstring(app, what, name, obj, options, lines):
    """Keep reStructuredText from misreading prose.

    What stands before a colon in the description of an attribute is no type, as napoleon has it: "Weights after each epoch:
    epoch, ...". For the rest see `pages.separated`.
    """
    lines[:] = map(pages.separated, lines)
    if what in {"attribute", "data", "property"}:
        lines[:0] = ["..", ""]


def read_source(app, page, source):
    """Links to files of the repository are those of this site."""
    source[0] = pages.on_this_site(source[0], page)


def setup(app):
    """Write the pages that are made from the package and from other files, before Sphinx looks for pages."""
    app.connect("config-inited", lambda *_: pages.write_all())
    app.connect("source-read", read_source)
    app.connect("autodoc-process-docstring", prepare_docstring, priority=400)  # before napoleon
