"""The questions that a reader sees: one set for every kind of image, so that nothing tells a real one from a synthetic one.

The classes come with each task (`$choices`), because tasks of different kinds have different classes.
"""

from __future__ import annotations

import hashlib
from xml.sax.saxutils import quoteattr

INSTRUCTION = (
    "Choose the class that the image shows and say whether the image may be used for training. Some images are made by a computer: "
    "whoever doubts that a patient's image would look like this answers “No” and says why."
)

STYLE = """
.review { display: flex; gap: 20px; align-items: flex-start; }
.review .picture { flex: 3 1 0; min-width: 0; }
.review .questions { flex: 1 1 0; min-width: 250px; max-width: 420px; }
.review .question { margin-bottom: 10px; }
.review .question h5 { margin: 0 0 4px; font-size: 16px; }
.review .question .lsf-choice__item { margin: 0; padding: 1px 0; min-height: 0; }
.review .question .lsf-choice__checkbox { margin: 0 12px 0 0; padding: 0; min-height: 0; line-height: 24px; }
.review .questions .lsf-choice__checkbox { font-size: 15px; }
.review [data-testid=textarea-counts], .review [data-testid=textarea-instruction] { display: none; }
.lsf-sidepanels__wrapper_align_right { display: none; }
.lsf-sidepanels { padding-right: 0 !important; }
"""


def labeling_config(reasons: tuple[str, ...]) -> str:
    """Return Label Studio's labeling configuration (XML); `reasons` are offered when an image is called unusable."""
    offered = "".join(f"<Choice value={quoteattr(reason)}/>" for reason in reasons)
    return f"""<View className="review">
  <Style>{STYLE}</Style>
  <View className="picture">
    <Image name="image" value="$image" zoom="true" zoomControl="true" brightnessControl="true" contrastControl="true"
      maxWidth="100%" horizontalAlignment="center"/>
  </View>
  <View className="questions">
    <View className="question">
      <Header value="What does the image show?" size="5"/>
      <Choices name="label" toName="image" value="$choices" choice="single-radio" showInline="false" required="true"
        requiredMessage="Choose the class that comes closest"/>
    </View>
    <View className="question">
      <Header value="Usable for training?" size="5"/>
      <Choices name="usable" toName="image" choice="single-radio" showInline="true" required="true" requiredMessage="Say whether the image is usable">
        <Choice value="yes" hotkey="y"/><Choice value="no" hotkey="n"/>
      </Choices>
    </View>
    <View className="question" visibleWhen="choice-selected" whenTagName="usable" whenChoiceValue="no">
      <Header value="Why not?" size="5"/>
      <Choices name="reasons" toName="image" choice="multiple" showInline="true" required="true" requiredMessage="Choose at least one reason">
        {offered}
      </Choices>
    </View>
    <TextArea name="comment" toName="image" rows="2" maxSubmissions="1" editable="true" placeholder="Comment, without anything that names a patient"/>
  </View>
</View>"""


def config_hash(config: str) -> str:
    """Return the hash that an issued task keeps of its questions."""
    return hashlib.sha256(config.encode()).hexdigest()


def task_choices(classes: tuple[str, ...]) -> list[dict[str, str]]:
    """Return the classes as a task carries them; the first nine have the number keys."""
    return [{"value": name, "hotkey": str(number)} if number <= 9 else {"value": name} for number, name in enumerate(classes, start=1)]
