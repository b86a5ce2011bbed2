"""All 90 groups of bad input have a test that makes the input: those made here, and those that belong to another room."""

import ast
from pathlib import Path

from tests.bad_inputs import dicom_files, nifti_files, raster_files

TESTS = Path(__file__).parents[1]
ELSEWHERE = {
    33: "curation/test_dicom.py::test_enhanced_frames_are_placed_by_their_functional_groups",
    45: "curation/test_pydicom_files.py::test_the_file_gets_its_answer",
    47: "bad_inputs/test_moments.py::test_a_file_that_changes_while_it_is_read_is_tried_again",
    80: "bad_inputs/test_moments.py::test_a_file_that_may_not_be_read_is_named",
    81: "adaptation/test_encoders.py::test_a_folder_with_pickles_only_is_refused",
    82: "flows/test_settings.py::test_bad_syntax_is_named_with_its_line",
    83: "curation/sources/test_table.py::test_equal_rows_are_one_and_contradicting_rows_are_a_conflict",
    84: "validation/test_release.py::test_the_gate_refuses_a_planted_violation",
    85: "validation/review/test_round_trip.py::test_only_answers_to_our_own_tasks_count",
    86: "validation/review/test_round_trip.py::test_a_pull_that_was_killed_loses_and_repeats_nothing",
    87: "bad_inputs/test_moments.py::test_a_class_name_that_is_markup_stays_text",
    88: "flows/test_doorstep.py::test_an_unexpected_error_does_not_quote_what_a_library_read",
    89: "bad_inputs/test_moments.py::test_a_full_disk_loses_nothing",
    90: "validation/test_verify.py::test_a_planted_change_is_found",
}
"""Group and test. 82: recipes are TOML, which knows no aliases; no YAML or pickle of a user is read. 86: there is no webhook, answers are fetched."""


def test_every_group_has_its_test() -> None:
    """1 to 90, and the tests that are named exist."""
    here = {case.group for case in (*dicom_files.CASES, *nifti_files.CASES, *raster_files.CASES)}
    assert here | set(ELSEWHERE) == set(range(1, 91))
    for name in ELSEWHERE.values():
        path, _, function = name.partition("::")
        functions = {node.name for node in ast.walk(ast.parse((TESTS / path).read_text())) if isinstance(node, ast.FunctionDef)}
        assert function in functions, name
