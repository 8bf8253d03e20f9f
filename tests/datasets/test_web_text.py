"""HTML: what a reader sees of a page, whole or broken."""

from __future__ import annotations

import pytest

from scratchgpt.datasets.web_text import charset_of_html, text_of_html


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("只有文字", "只有文字"),
        ("<p>一<p>二<p>三", "一\n二\n三"),
        ("<div>一<div>二</div>三</div>", "一\n二\n三"),
        ("a<b>b</b>c <i>d</i>\n e<br/>f", "abc d e\nf"),
        ("<td>一</td><td>二</td>", "一 二"),
        ("&lt;p&gt; &#20320;&nbsp;&hellip;", "<p> 你\xa0…"),
        ("<script>var a = '<p>x</p>';</script>y<style>p{}</style>z", "yz"),
        ("<noscript><p>没有<div>脚本</noscript>有", "有"),
        ("<body>一<select><option>甲</body>", "一"),
        ("<p>未完<b>", "未完"),
        ("<!-- <p>一</p> -->二", "二"),
        ("<p>中文断\n   行，English broken\n  line</p>", "中文断行，English broken line"),
        ("<pre>a\n   b\n\n c</pre>", "a\n   b\n c"),
        ("<p>\u3000\u3000缩进</p>", "\u3000\u3000缩进"),
        ("", ""),
    ],
)
def test_what_a_reader_sees(page: str, text: str) -> None:
    assert text_of_html(page) == text


@pytest.mark.parametrize(
    ("page", "charset"),
    [
        (b'<meta charset="gbk">', "gbk"),
        (b"<META http-equiv=Content-Type content='text/html; charset=Shift_JIS'>", "Shift_JIS"),
        (b'<?xml version="1.0" encoding="Big5"?><html>', "Big5"),
        (b"<p>charset=gbk</p>", None),
        (b"", None),
    ],
)
def test_the_encoding_that_a_page_names(page: bytes, charset: str | None) -> None:
    assert charset_of_html(page) == charset
