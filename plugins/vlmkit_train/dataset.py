"""The data set ``conversations``: the questions of a file of conversations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from attrs import field, frozen

from vlmkit import Example, LabelSpace
from vlmkit.data.text import TextFile
from vlmkit.errors import DataError
from vlmkit_train.conversations import IMAGE, Conversation, Conversations

_IMAGES_TOGETHER = re.compile(rf"\s*(?:{IMAGE}\s*)+")


@frozen(slots=False)
class ConversationQuestions:
    """What people ask in a file of conversations, about all images of the conversation.

    Each turn is a question of its own, without what was said before, and its target is the reply. There are no labels.

    Args:
        file: JSONL with a conversation a line, or a JSON list of them.
        images: The folder that paths of images are relative to; by default that of the file.

    Raises:
        DataError: The file cannot be read, or holds something that is no question about images; the message says where.
    """

    path: Path = field(alias="file")
    folder: Path | None = field(default=None, alias="images")
    _questions: int = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        questions = 0
        for index, conversation in enumerate(self.conversations):
            reason = _unaskable(conversation)
            if reason:
                raise TextFile(self.path, "conversation file", DataError).wrong(
                    reason, at=self.conversations.place(index), hint="leave it out"
                )
            questions += len(conversation.turns) // 2
        object.__setattr__(self, "_questions", questions)

    @cached_property
    def conversations(self) -> Conversations:
        """The file."""
        return Conversations.open(self.path, self.folder)

    @property
    def labels(self) -> LabelSpace:
        """No labels."""
        return LabelSpace(())

    def __len__(self) -> int:
        return self._questions

    def __iter__(self) -> Iterator[Example]:
        for conversation in self.conversations:
            turns = conversation.turns
            for place in range(0, len(turns), 2):
                asked, reply = turns[place], turns[place + 1]
                yield Example(
                    id=f"{conversation.id}#{place // 2 + 1}" if len(turns) > 2 else conversation.id,
                    images=conversation.images,
                    target=reply.text.strip(),
                    question=asked.text.replace(IMAGE, "").strip(),
                )


def _unaskable(conversation: Conversation) -> str:
    """Return why the turns of a conversation are no questions about its images, or an empty string."""
    if not conversation.images:
        return "it shows no image"
    if conversation.turns[0].role == "system":
        return "it begins with a system turn, and a question has none"
    # Questions show their images first; images behind the words may go there, those between words may not.
    words = _IMAGES_TOGETHER.split(conversation.turns[0].text)
    if len(words) != 2 or (words[0] and words[1]):
        return "there are words between its images, or on both sides of them"
    if any(not turn.text.replace(IMAGE, "").strip() for turn in conversation.turns[::2]):
        return "a turn asks nothing"
    return ""
