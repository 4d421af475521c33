"""Configs that extend others."""

from pathlib import Path

import pytest

from spacy_mamba_crf.configs import merge_configs


def write(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write(tmp_path, "base.cfg", "[a]", "x = 1", "y = 1", "z = ${a.x}")


def extending(*names: str) -> str:
    return f"[extends]\nconfigs = {list(names)}".replace("'", '"')


def test_what_a_config_extends_comes_before_it(base):
    over = write(base.parent, "over.cfg", extending("base.cfg"), "[a]", "y = 2")
    assert merge_configs([over]) == {"a": {"x": 1, "y": 2, "z": "${a.x}"}}


def test_a_base_of_two_configs_is_merged_once_before_both(base):
    write(base.parent, "one.cfg", extending("base.cfg"), "[a]", "x = 2")
    write(base.parent, "two.cfg", extending("base.cfg"), "[a]", "y = 3")
    both = write(base.parent, "both.cfg", extending("one.cfg", "two.cfg"))
    assert merge_configs([both])["a"] == {"x": 2, "y": 3, "z": "${a.x}"}


def test_files_are_looked_for_beside_the_config_that_names_them(base):
    over = write(base.parent / "folder", "over.cfg", extending("../base.cfg"))
    assert merge_configs([over])["a"]["x"] == 1


def test_a_section_with_another_registered_function_is_replaced(tmp_path):
    write(tmp_path, "one.cfg", "[a]", '@misc = "one"', "x = 1")
    two = write(tmp_path, "two.cfg", extending("one.cfg"), "[a]", '@misc = "two"', "y = 2")
    assert merge_configs([two]) == {"a": {"@misc": "two", "y": 2}}


def test_a_config_that_extends_itself_is_an_error_that_names_it(tmp_path):
    write(tmp_path, "one.cfg", extending("two.cfg"))
    two = write(tmp_path, "two.cfg", extending("one.cfg"))
    with pytest.raises(ValueError, match=r"two\.cfg: \[extends\] leads back to this file"):
        merge_configs([two])


def test_a_missing_base_is_named(tmp_path):
    over = write(tmp_path, "over.cfg", extending("none.cfg"))
    with pytest.raises(FileNotFoundError, match=r"over\.cfg: there is no config .*none\.cfg"):
        merge_configs([over])


@pytest.mark.parametrize("line", ["configs = 1", "files = []", "configs = [1]"])
def test_an_extends_section_of_another_form_is_an_error(tmp_path, line):
    over = write(tmp_path, "over.cfg", "[extends]", line)
    with pytest.raises(ValueError, match=r"over\.cfg: \[extends\] must have one setting"):
        merge_configs([over])
