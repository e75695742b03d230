"""Golden renderings of chat templates, from Hugging Face's own sandbox.

Made with Python 3, transformers 5.23.0 and Jinja2 3.1.6. Run from the repository root, with the shared data beside it:

    python tools/golden/chat_templates.py       # test/fixtures/chat-template/golden.json

Templates of ../shared/data are named, not copied. Long renderings are kept as their SHA-256.
"""

import datetime as datetime_module
import hashlib
import json
from pathlib import Path

import jinja2
import transformers
import transformers.utils.chat_template_utils as utils

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
TARGET = ROOT / "test" / "fixtures" / "chat-template" / "golden.json"
LONGEST_TEXT = 300


class FixedDatetime(datetime_module.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 6, 15, 4, 5, 678000)


utils.datetime = FixedDatetime

CONTEXT = {
    "text": "  Hello, World! it's a \"test\"\n",
    "lines": "one\n\ntwo\r\nthree",
    "wide": "naïve 🤗 日本語\u00a0é",
    "csv": "a,b,,c",
    "spaced": "  a  b \t c ",
    "none": None,
    "yes": True,
    "n": 7,
    "x": 2.5,
    "big": 12345678901234567890 % 9007199254740991,
    "list": [3, 1, 2],
    "words": ["b", "A", "c", "a"],
    "mixed": [1, 2.5, True, None, "it's", 'say "hi"', [], {}, {"k": [1]}],
    "d": {"b": 1, "A": 2, "items": 3, "get": "g", "nested": {"x": {"y": 5}}},
    "users": [
        {"name": "Bob", "age": 30, "tags": ["x"]},
        {"name": "alice", "age": 25, "tags": []},
        {"name": "Carol", "age": 30},
    ],
}

ENGINE = [
    # printing
    "{{ mixed }}", "{{ d }}", "{{ none }}|{{ yes }}|{{ x }}|{{ missing }}|{{ n }}", "{{ (1, 2) }}",
    "{{ [1.0, 10000000000000000.0, 0.0001, 0.00001, 123456789.125] }}", "{{ [text, wide, lines] }}",
    "{{ ['\\x00', '\\u200b', '\\u00a0', '\\u00e9', '🤗'] }}", "{{ range(3) }}{{ range(1, 9, 2) | list }}",
    "{{ d.keys() }}{{ d.values() }}{{ {'a': 1}.items() }}", "{{ namespace(a=1, b='x') }}", "{{ [missing] }}",
    "{{ [true, false, none] }}{{ {'a': true} }}{{ {1: 2, none: 3} }}",
    # comparison and logic
    "{{ 1 == '1' }}{{ 1 == 1.0 }}{{ true == 1 }}{{ [1] == [1] }}{{ {'a': 1} == {'a': 1.0} }}{{ none == missing }}{{ missing == nope }}",
    "{{ (1, 2) == [1, 2] }}{{ 'a' < 'b' }}{{ [1, 2] < [1, 3] }}{{ 2 > 1.5 }}{{ 'Z' < 'a' }}",
    "{{ 1 in [1.0] }}{{ 'a' in 'cat' }}{{ 'b' in d }}{{ 'x' in missing }}{{ 2 in range(3) }}{{ none in [none] }}",
    "{{ '' in 'abc' }}{{ 'lo' not in text }}{{ not yes }}{{ not missing }}{{ not [] }}{{ not {} }}{{ not 0.0 }}",
    "{{ (1 == 1) == true }}{{ ('user' == 'user') != (0 % 2 == 0) }}",
    "{{ 'a' or 'b' }}{{ '' or none }}{{ 0 and 1 }}{{ [] or 'empty' }}", "{{ 'yes' if d else 'no' }}{{ 'x' if missing }}{{ 'a' if 0 else 'b' if 0 else 'c' }}",
    # arithmetic
    "{{ 7 // 2 }}{{ -7 // 2 }}{{ 7 % -3 }}{{ -7 % 3 }}{{ 7 / 2 }}{{ 4 / 2 }}{{ 2 ** 10 }}{{ 2 ** -1 }}{{ 7.5 // 2 }}{{ -7.5 % 2 }}",
    "{{ 1 + 1.5 }}{{ true + true }}{{ 'ab' * 3 }}{{ [1] * 2 }}{{ 'a' + 'b' }}{{ [1] + [2] }}{{ (1, 2) + (3, 4) }}{{ 2 * 'xy' }}",
    "{{ 99999999999 * 99999999999 }}{{ 'a' ~ 1 ~ none ~ true ~ 2.0 }}{{ -x }}{{ +n }}{{ - true }}", "{{ 1 ~ 2 + 3 if false else 'ok' }}",
    "{{ 'a' + 1 }}", "{{ none + 'a' }}", "{{ missing + 'a' }}", "{{ 1 / 0 }}", "{{ 'a' < 1 }}", "{{ [] + () }}", "{{ missing.x }}", "{{ none.x }}",
    "{{ d.missing.deeper }}", "{{ missing() }}", "{{ n() }}", "{{ 1 in 'abc' }}", "{{ 'a' in none }}",
    # members and slices
    "{{ d.items }}" if False else "{{ d['items'] }}{{ d.nested.x.y }}{{ d['nested']['x'] }}{{ d.get('b') }}{{ d.get('zz') }}{{ d.get('zz', 9) }}",
    "{{ list[0] }}{{ list[-1] }}{{ list[5] }}|{{ list.0 }}{{ list[true] }}{{ text[2] }}{{ wide[6] }}{{ wide[-1] }}",
    "{{ list[1:] }}{{ list[:-1] }}{{ list[::-1] }}{{ text[2:7] }}{{ wide[6:9] }}{{ wide[::-1] }}{{ list[5:] }}{{ list[-2:] }}{{ (1, 2, 3)[1:] }}",
    "{{ list[::2] }}{{ 'abcdef'[4:1:-1] }}{{ 'abc'[none:2] }}{{ range(10)[2:5] | list }}{{ range(10)[3] }}",
    "{{ d['get'] }}{{ list['x'] }}|{{ none['x'] }}|{{ n.real if false }}", "{{ list.append(1) }}", "{{ d.update({'x': 1}) }}", "{{ d.pop('b') }}", "{{ words.sort() }}",
    "{{ words.index('c') }}{{ words.count('a') }}{{ (1, 1).count(1) }}",
    # string methods
    "[{{ text.strip() }}][{{ text.lstrip() }}][{{ text.rstrip() }}][{{ 'xxaxx'.strip('x') }}][{{ 'abcxcba'.lstrip('abc') }}][{{ 'a\\n\\n'.rstrip('\\n') }}]",
    "{{ '\\ufeffa\\x1c'.strip() == 'a' }}{{ '\\ufeffa'.strip() | length }}{{ '\\x85a\\u3000'.strip() }}",
    "{{ csv.split(',') }}{{ csv.split(',', 1) }}{{ csv.rsplit(',', 1) }}{{ spaced.split() }}{{ spaced.split(none, 1) }}{{ spaced.rsplit(none, 1) }}{{ ''.split() }}{{ ''.split(',') }}",
    "{{ 'a</think>b</think>c'.split('</think>')[-1].lstrip('\\n') }}{{ lines.splitlines() }}{{ lines.splitlines(true) }}{{ 'a\\x0bb\\u2028c'.splitlines() }}",
    "{{ text.upper() }}{{ text.lower() }}{{ 'hELLO wORLD'.title() }}{{ \"it's\".title() }}{{ 'hELLO wORLD'.capitalize() }}{{ 'aB'.swapcase() }}{{ 'ß'.upper() }}",
    "{{ 'abc'.startswith('a') }}{{ 'abc'.startswith(('x', 'ab')) }}{{ 'abc'.endswith('bc') }}{{ 'abc'.removeprefix('a') }}{{ 'abc'.removesuffix('bc') }}{{ 'abc'.removesuffix('') }}",
    "{{ 'aaa'.replace('a', 'b') }}{{ 'aaa'.replace('a', 'b', 2) }}{{ 'abc'.replace('', '-') }}{{ 'abc'.replace('', '-', 2) }}{{ 'a🤗b'.replace('', '.') }}{{ 'aaa'.replace('a', 'b', 0) }}",
    "{{ ', '.join(words) }}{{ ''.join([]) }}{{ '-'.join('abc') }}", "{{ ','.join([1, 2]) }}",
    "{{ 'hello'.find('l') }}{{ 'hello'.rfind('l') }}{{ 'hello'.find('z') }}{{ 'a🤗b'.find('b') }}{{ 'hello'.index('e') }}{{ 'banana'.count('an') }}{{ 'abc'.count('') }}", "{{ 'hello'.index('z') }}",
    "{{ '12'.isdigit() }}{{ ''.isdigit() }}{{ 'ab'.isalpha() }}{{ 'a1'.isalnum() }}{{ ' \\t'.isspace() }}{{ 'AB1'.isupper() }}{{ '1'.isupper() }}{{ 'ab'.islower() }}{{ 'é'.isascii() }}",
    "{{ 'a-b-c'.partition('-') }}{{ 'a-b-c'.rpartition('-') }}{{ 'abc'.partition('-') }}{{ 'abc'.rpartition('-') }}{{ '7'.zfill(3) }}{{ '-7'.zfill(4) }}{{ 'a'.ljust(3) }}|{{ 'a'.rjust(3, '.') }}",
    # filters
    "{{ text | trim }}|{{ 'xxaxx' | trim('x') }}|{{ 5 | trim }}|{{ words | join }}|{{ words | join(', ') }}|{{ [1, none, 2.0] | join('-') }}|{{ users | join(', ', attribute='name') }}",
    "{{ words | sort }}{{ words | sort(case_sensitive=true) }}{{ list | sort(reverse=true) }}{{ users | sort(attribute='age') | map(attribute='name') | list }}{{ users | sort(attribute='age,name') | map(attribute='name') | list }}",
    "{{ d | dictsort }}{{ {'b': 2, 'a': 3} | dictsort(by='value') }}{{ {'b': 2, 'A': 3} | dictsort(true) }}{{ {'b': 2, 'a': 3} | dictsort(reverse=true) }}",
    "{{ list | first }}{{ list | last }}{{ [] | first }}|{{ 'abc' | first }}{{ 'abc' | last }}{{ [none] | first }}{{ list | length }}{{ wide | length }}{{ d | count }}{{ missing | length }}",
    "{{ 'abc' | reverse }}{{ list | reverse | list }}{{ words | unique | list }}{{ ['a', 'A', 'b'] | unique | list }}{{ [1, 1.0, true] | unique | list }}",
    "{{ 'hELLO wORLD' | capitalize }}{{ \"it's a-b (c) é\" | title }}{{ 'ab' | upper }}{{ 'AB' | lower }}{{ 5 | upper }}{{ none | lower }}",
    "{{ lines | indent }}|{{ lines | indent(2, true) }}|{{ lines | indent(2, first=true, blank=true) }}|{{ lines | indent('> ') }}|{{ '' | indent }}|{{ 'a\\n' | indent }}",
    "{{ '12' | int }}{{ 'x' | int }}{{ 'x' | int(3) }}{{ '3.7' | int }}{{ 3.9 | int }}{{ -3.9 | int }}{{ none | int(9) }}{{ '  5 ' | int }}{{ '1_000' | int }}{{ 'ff' | int(0, 16) }}{{ '0x1f' | int(base=16) }}{{ '' | int }}{{ '22' | int | string == '22' }}",
    "{{ '1.5' | float }}{{ 'x' | float }}{{ 'x' | float(1.5) }}{{ 3 | float }}{{ '1e3' | float }}{{ 'inf' | float }}{{ '22.0' | float | string }}{{ '.5' | float }}",
    "{{ 2.5 | round }}{{ 3.5 | round }}{{ 2.675 | round(2) }}{{ 1.25 | round(1) }}{{ 7 | round }}{{ 2.1 | round(method='ceil') }}{{ 2.9 | round(0, 'floor') }}{{ 42.55 | round }}",
    "{{ -5 | abs }}{{ -2.5 | abs }}{{ list | sum }}{{ users | sum(attribute='age') }}{{ list | min }}{{ words | max }}{{ [] | max }}|{{ list | sum(start=10) }}",
    "{{ missing | default('x') }}{{ none | default('x') }}{{ '' | default('x', true) }}{{ missing | d('y') }}{{ missing | default }}|{{ false | d(1, boolean=true) }}",
    "{{ users | selectattr('tags') | map(attribute='name') | list }}{{ users | selectattr('age', 'equalto', 30) | list | length }}{{ users | rejectattr('age', 'gt', 26) | map(attribute='name') | join }}{{ users | selectattr('tags', 'defined') | list | length }}",
    "{{ list | select('odd') | list }}{{ list | reject('odd') | list }}{{ [0, 1, ''] | select | list }}{{ list | select('in', [1, 2]) | list }}{{ words | map('upper') | list }}{{ list | map('string') | join('+') }}{{ users | map(attribute='tags.0', default='-') | list }}",
    "{{ 'yes' if users | selectattr('name', 'equalto', 'nobody') else 'no' }}", "{{ users | selectattr('age') | length }}", "{{ (d | items)[0] }}", "{% for k, v in d | items %}{{ k }}={{ v }};{% endfor %}",
    "{{ 'a<b>&\"\\'' | e }}{{ 'a b  c' | wordcount }}{{ list | batch(2) | list }}{{ list | batch(2, 'x') | list }}{{ 'aXbX' | replace('X', '-') }}{{ 'aXbX' | replace('X', '-', 1) }}{{ 5 | string }}{{ true | string }}{{ none | string }}{{ 'abc' | list }}{{ d | list }}",
    "{{ '<a>' + ('\"' | safe) + \"'\" }}|{{ 1 ~ ('<' | safe) ~ '>' }}|{{ ('<' | e) ~ '<' }}|{{ ('<' | safe) | upper }}|{{ ['<' | safe] | join('>') }}{{ '<' | safe | e }}{{ '<' | safe == '<' }}", "{{ list | nosuch }}", "{{ list is nosuch }}", "{{ 'abc' | dictsort }}",
    # tojson
    "{{ mixed | tojson }}", "{{ d | tojson(indent=2) }}", "{{ d | tojson(sort_keys=true) }}", "{{ mixed | tojson(separators=(',', ':')) }}", "{{ wide | tojson }}{{ wide | tojson(ensure_ascii=true) }}{{ '\\x7f\\x01\\u2028</script>' | tojson }}",
    "{{ {} | tojson(indent=4) }}{{ [] | tojson(indent=4) }}{{ [[1], {'a': []}] | tojson(indent=1) }}{{ {'a': 1} | tojson(indent=0) }}", "{{ (1, 2) | tojson }}{{ {1: 2, none: 4, 1.5: 5} | tojson }}{{ 1000.0 | tojson }}", "{{ missing | tojson }}", "{{ range(3) | tojson }}", "{{ d.items() | tojson }}", "{{ {'ü': 'ü'} | tojson(true) }}",
    # tests
    "{{ 4 is divisibleby 2 }}{{ 4 is divisibleby(3) }}{{ 4 is not divisibleby 3 }}{{ 1 is eq 1 }}{{ 1 is in [1, 2] }}{{ 3 is not in list }}{{ n is gt 5 and n is lt(10) }}{{ none is sameas none }}{{ 1 is ne d.b }}{{ 'a' is in d }}",
    "{{ 1 is number }}{{ true is number }}{{ true is integer }}{{ 1.0 is float }}{{ 1 is float }}{{ 'a' is string }}{{ d is mapping }}{{ list is iterable }}{{ 'a' is iterable }}{{ n is iterable }}{{ d is sequence }}{{ n is sequence }}{{ range(2) is sequence }}{{ missing is iterable }}",
    "{{ missing is defined }}{{ none is defined }}{{ none is none }}{{ missing is none }}{{ d.zz is undefined }}{{ raise_exception is callable }}{{ 'AB' is upper }}{{ 'ab1' is lower }}{{ 1 is true }}{{ true is true }}{{ 0 is false }}{{ 3 is odd }}{{ 3 is even }}{{ not 3 is even }}",
    # statements and scopes
    "{% for i in list %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('a', 'b') }}{{ loop.changed(i) }}{{ loop.depth }};{% endfor %}",
    "{% for i in range(6) if i is odd %}{{ loop.index }}/{{ loop.length }}={{ i }} {% else %}none{% endfor %}{% for i in [] %}x{% else %}empty{% endfor %}{% for i in missing %}x{% else %}undefined{% endfor %}",
    "{% set a = 1 %}{% for i in list %}{{ a }}{% set a = i %}{{ a }}{% endfor %}{{ a }}", "{% for i in list %}{% if loop.first %}{% set b = 1 %}{% endif %}[{{ b }}]{% endfor %}",
    "{% set ns = namespace(n=0) %}{% for i in list %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "{% set d.x = 1 %}", "{% set ns = namespace(_x=1) %}", "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}{{ ns.c }}",
    "{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}", "{% for i in range(3) %}a{% if i == 1 %}b{% continue %}{% endif %}c{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}:{{ v }},{% endfor %}{% for k in d %}{{ k }}{% endfor %}{% for c in 'a🤗' %}[{{ c }}]{% endfor %}", "{% for a, b in [[1, 2, 3]] %}{% endfor %}", "{% for i in 5 %}{% endfor %}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% set t %} block {{ n }} {% endset %}[{{ t }}]{% set u | trim | upper %} block {% endset %}[{{ u }}]", "{% filter upper %}abc{{ n }}{% endfilter %}{% filter replace('a', 'b') %}banana{% endfilter %}",
    "{% macro m(a, b='B', c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}|{{ m(1, c=3) }}|{{ m('x', 'y', 'z') }}|{{ m() }}|{{ m(none) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}", "{% macro box(t) %}[{{ t }}:{{ caller() }}]{% endmacro %}{% call box('T') %}body{{ n }}{% endcall %}", "{% macro l(xs) %}{% for x in xs %}({{ caller(x) }}){% endfor %}{% endmacro %}{% call(x) l(list) %}{{ x * 2 }}{% endcall %}",
    "{% set g = 1 %}{% macro m() %}{{ g }}{% endmacro %}{% set g = 2 %}{{ m() }}", "{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(4) }}", "{% if missing %}a{% elif none %}b{% elif [] %}c{% else %}d{% endif %}",
    "{% generation %}inside{% endgeneration %}", "a\n  {% if true %}\n  b\n  {% endif %}\nc\n", "a\r\nb{% if true %}\r\nc{% endif %}\r\n", "  {{ n }}  \n  {# note #}\n x", "{%- if true -%}  x  {%- endif -%}  y", "a\n\n",
    "{{ raise_exception('no ' ~ n) }}", "{{ strftime_now('%d %b %Y|%Y-%m-%d|%H:%M:%S|%A %B %j|%I %p|%y %%|%e|%-d') }}", "{{ dict(a=1, b=[2]) }}{{ dict([('x', 1)]) }}{{ dict({'y': 2}, z=3) }}",
    "{% set j = joiner(', ') %}{% for i in list %}{{ j() }}{{ i }}{% endfor %}", "{{ range(100001) }}", "{{ range(1, 1) | list }}{{ range(5, 0, -2) | list }}", "{{ range(0.5) }}",
    "{{ {'a': 1, 'b': {'c': 2}}.b.c }}{{ [1, 2][1] }}{{ 'abc'[1] }}{{ ('a', 'b')[0] }}", "{{ 'a' 'b' }}{{ \"q'q\" }}{{ 'q\\'q' }}{{ 'tab\\tnl\\n' }}", "{{ n if n > 5 else 'small' }}{{ (n > 5) | string }}", "{{ list | map('nosuch') | list }}", "{{ users | map(attribute='name') | map('lower') | join(' ') }}",
]


def render(source, context):
    try:
        return {"text": utils._compile_jinja_template(source).render(**context)}
    except Exception as error:
        return {"fails": type(error).__name__}


def record(text, digest_only=False):
    if len(text) <= LONGEST_TEXT and not digest_only:
        return {"text": text}
    return {"sha256": hashlib.sha256(text.encode()).hexdigest(), "length": len(text)}


def shared_chats():
    """Conversations of the shared data, which tests read there: of what becomes of them only digests are written."""
    for path in sorted((DATA / "tok-mistral" / "samples").glob("*/sample.json")):
        sample = json.loads(path.read_text())
        yield path.parent.name, {"messages": sample["messages"], "tools": sample.get("tools") or None}


def chats():
    samples = {}
    tool = {"type": "function", "function": {"name": "f", "description": "Ünïcode \"q\"", "parameters": {"type": "object", "properties": {"a": {"type": "integer", "default": 1.5}, "b": {"type": "boolean", "default": True}}, "required": ["a"]}}}
    call = {"id": "abcdefghi", "type": "function", "function": {"name": "f", "arguments": {"a": 1, "b": None, "ü": [True, 2.5]}}}
    samples["plain"] = {"messages": [{"role": "user", "content": " Hi there \n"}, {"role": "assistant", "content": "Hello!"}, {"role": "user", "content": "1+1?"}]}
    samples["system"] = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1+1?"}], "add_generation_prompt": True}
    samples["prefill"] = {"messages": [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "It is  "}], "continue_final_message": True}
    samples["blocks"] = {"messages": [{"role": "user", "content": [{"type": "text", "text": "What"}, {"type": "text", "text": "is it?"}]}], "add_generation_prompt": True}
    samples["block prefill"] = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [{"type": "text", "text": "So"}]}], "continue_final_message": True}
    samples["image"] = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "What?"}]}]}
    samples["thinking"] = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes.", "reasoning": "Hm.\n"}, {"role": "user", "content": "Why?"}], "add_generation_prompt": True}
    samples["tool call"] = {"messages": [{"role": "user", "content": "Call f"}, {"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "name": "f", "tool_call_id": "abcdefghi", "content": "42.50"}, {"role": "assistant", "content": "42.5"}, {"role": "user", "content": "Thanks"}], "tools": [tool], "add_generation_prompt": True}
    samples["documents"] = {"messages": [{"role": "user", "content": "What do they say?"}], "documents": [{"title": "A", "text": "one"}, {"title": "B", "text": "two"}], "add_generation_prompt": True}
    samples["wrong role"] = {"messages": [{"role": "wizard", "content": "x"}]}
    return samples


def templates():
    for path in sorted((DATA / "tok-mistral" / "chat_templates").glob("*.jinja")):
        yield f"tok-mistral/chat_templates/{path.name}", path.read_text()
    for entry in json.loads((DATA / "chat-templates" / "chat-templates.json").read_text()):
        if len(entry["chat_template"]) > 1500:
            yield f"chat-templates/chat-templates.json#{entry['name']}", entry["chat_template"]


def chat_rendering(source, chat, digest_only=False):
    # As apply_chat_template does before it renders.
    chat = dict(chat, messages=[{k: v for k, v in m.items() if v is not None} for m in chat["messages"]])
    try:
        rendered, _ = utils.render_jinja_template(
            conversations=[chat["messages"]], chat_template=source, bos_token="<s>", eos_token="</s>",
            tools=chat.get("tools"), documents=chat.get("documents"),
            add_generation_prompt=chat.get("add_generation_prompt", False),
            continue_final_message=chat.get("continue_final_message", False),
        )
        return record(rendered[0], digest_only)
    except Exception as error:
        return {"fails": type(error).__name__}


def main():
    samples = chats()
    golden = {
        "versions": {"transformers": transformers.__version__, "jinja2": jinja2.__version__},
        "now": "2024-07-06T15:04:05.678",
        "context": CONTEXT,
        "engine": [{"template": source, **render(source, CONTEXT)} for source in ENGINE],
        "chats": samples,
        "renderings": [
            {
                "template": name,
                "chats": {
                    **{key: chat_rendering(source, chat, digest_only=True) for key, chat in shared_chats()},
                    **{key: chat_rendering(source, chat) for key, chat in samples.items()},
                },
            }
            for name, source in templates()
        ],
    }
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n")


main()
