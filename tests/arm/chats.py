"""Tokenizers and chat templates of the kinds that models have, made here."""

from typing import Final

from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from tokenizers.decoders import ByteLevel
from transformers import PreTrainedTokenizerFast

_MARKS: Final = [
    "<|im_start|>",
    "<|im_end|>",
    "<|begin|>",
    "<|head|>",
    "<|body|>",
    "<|over|>",
    "<tool_call>",
    "</tool_call>",
    "[INST]",
    "[/INST]",
    "</s>",
]
_WORDS: Final = [
    '{"name": "lookup", "arguments": {"query": "red shoes", "limit": 3}}',
    "system user assistant tool the weather is nice today and you can help me please",
    "Action: search[blue] Thought: I will look it up",
]

CHATML: Final = (
    "{% if tools %}<|im_start|>system\nTools: {{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' %}{{ m.content.split('</think>')[-1] | trim }}"
    "{% for call in m.tool_calls %}\n<tool_call>\n"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}'
    "\n</tool_call>{% endfor %}"
    "{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
HEADED: Final = (  # with a date, as Llama 3 has it
    "<|begin|><|head|>system<|body|>\n\nToday is {{ date_string or strftime_now('%d %b %Y') }}<|over|>"
    "{% for m in messages %}<|head|>{{ m.role }}<|body|>\n\n"
    "{% if m.tool_calls %}"
    '{"name": "{{ m.tool_calls[0].function.name }}", "parameters": {{ m.tool_calls[0].function.arguments | tojson }}}'
    "{% else %}{{ m.content | trim }}{% endif %}<|over|>{% endfor %}"
)
BRACKETS: Final = (  # nothing but the end of the user's turn says that the assistant begins, as with Mistral
    "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% elif m.role == 'assistant' %} {{ m.content }}</s>{% else %}{{ raise_exception('no ' ~ m.role) }}{% endif %}"
    "{% endfor %}"
)
TURNS: Final = (  # the assistant is called otherwise, as with Gemma
    "{% for m in messages %}<|head|>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<|over|>\n{% endfor %}"
)
MARKED: Final = (  # says itself where the assistant speaks
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
)
TEMPLATES: Final = {"chatml": CHATML, "headed": HEADED, "brackets": BRACKETS, "turns": TURNS, "marked": MARKED}


def tokenizer(template: str | None = CHATML, *, trims: bool = False) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer, trained on a few words; one that `trims` leaves spaces out of its offsets."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = ByteLevel()
    made.post_processor = processors.ByteLevel(trim_offsets=trims)
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator(_WORDS, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=made)
    fast.add_tokens(_MARKS, special_tokens=True)
    fast.chat_template = template
    return fast
