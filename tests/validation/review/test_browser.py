"""A person's way: log in with a browser, label what the stream serves, and the verdict comes back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.builders import a_manifest
from tests.services import TestStudio
from tests.validation.review.builders import CLASSES, KEY, a_review_project
from validation.recipe import ReviewSettings
from validation.review.pull import pull_verdicts
from validation.review.push import push_review
from validation.review.verdicts import read_verdicts

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """Open a laptop-sized window of headless Chromium that may speak with 127.0.0.1 only."""
    if not CHROMIUM.exists():
        reason = f"NOT TESTED: there is no {CHROMIUM}; `make test` installs it"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path / "browser", executable_path=CHROMIUM, args=FLAGS, viewport={"width": 1366, "height": 768}
        )
        yield context.pages[0]
        context.close()


def log_in(page: Page, studio: TestStudio) -> None:
    """Log in as the server's owner."""
    page.goto(f"{studio.url}/user/login/")
    page.fill("[name=email]", studio.running.email)
    page.fill("[name=password]", studio.running.password)
    page.press("[name=password]", "Enter")
    page.wait_for_url(lambda address: "/login" not in address)


@pytest.mark.service
@pytest.mark.browser
def test_a_person_judges_an_image_in_the_browser(label_studio: TestStudio, page: Page, tmp_path: Path) -> None:
    """The button "Label All Tasks" serves the first of our queue; keys answer it; every question is above the fold; the pull gets the verdict."""
    settings = ReviewSettings(budget=3, audit_share=1.0)
    project = a_review_project(tmp_path, label_studio.files_root, a_manifest(6, split="train"))
    report = push_review(project, settings, label_studio.url, label_studio.token, None, CLASSES, KEY)
    strangers: list[str] = []
    page.on("request", lambda request: strangers.append(request.url) if not request.url.startswith((label_studio.url, "data:", "blob:")) else None)
    log_in(page, label_studio)
    page.goto(report.url)
    page.get_by_text("Label All Tasks").click()
    page.wait_for_selector(".lsf-choices")
    page.wait_for_function("() => [...document.images].some(image => image.src.includes('local-files') || image.naturalWidth >= 512)")
    page.keyboard.press("2")
    page.keyboard.press("n")
    page.get_by_text("not plausible").click()
    submit = page.get_by_test_id("bottombar-submit-button")
    for element in (submit, page.get_by_text("poor quality"), page.get_by_text("yes[y]")):
        box = element.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 768
    page.screenshot(path=os.environ.get("CURALOOP_SCREENSHOT", tmp_path / "labelling.png"))
    with page.expect_response(lambda response: "/annotations" in response.url and response.request.method == "POST") as saved:
        submit.click()
    assert saved.value.status == 201
    assert strangers == [], "the browser spoke with others"

    pulled = pull_verdicts(project, settings, label_studio.url, label_studio.token, KEY)
    (fact,) = read_verdicts(project)
    assert (pulled.new, pulled.refused) == (1, {})
    assert (fact["label"], fact["usable"], fact["reasons"]) == (CLASSES["colour-2d"][1], False, ["not plausible"])
    assert fact["seconds"] > 0
