//! `markdown`: Markdown becomes HTML. HTML within the Markdown is shown and not obeyed, and links lead only where
//! links should.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, html};

use crate::builtin::call::{Answer, Call, Reply};

pub(crate) fn answer(call: &Call) -> Reply {
    let text = call.text("Markdown")?;
    let extras = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut page = String::new();
    html::push_html(&mut page, Parser::new_ext(text, extras).map(harmless));
    Ok(Answer::html(page))
}

fn harmless(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::Link {
            link_type,
            dest_url,
            title,
            id,
        }) => Event::Start(Tag::Link {
            link_type,
            dest_url: safe(dest_url),
            title,
            id,
        }),
        Event::Start(Tag::Image {
            link_type,
            dest_url,
            title,
            id,
        }) => Event::Start(Tag::Image {
            link_type,
            dest_url: safe(dest_url),
            title,
            id,
        }),
        other => other,
    }
}

/// The address, unless it is of a kind that runs something.
fn safe(address: CowStr<'_>) -> CowStr<'_> {
    let kind = address.split(['/', '?', '#']).next().unwrap_or_default();
    match kind.split_once(':') {
        None => address,
        Some((scheme, _)) if ["http", "https", "mailto"].contains(&scheme.to_ascii_lowercase().as_str()) => {
            address
        }
        Some(_) => CowStr::Borrowed("#"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html_of(markdown: &str) -> String {
        String::from_utf8(answer(&Call::of(markdown.as_bytes(), "")).unwrap().body).unwrap()
    }

    #[test]
    fn html_is_shown_and_not_obeyed() {
        let html = html_of("<script>alert(1)</script>\n\nand <b onclick=x>inline</b>");
        assert!(!html.contains("<script") && !html.contains("<b "), "{html}");
        assert!(html.contains("&lt;script&gt;"), "{html}");
    }

    #[test]
    fn links_run_nothing() {
        assert!(html_of("[a](javascript:alert(1))").contains("href=\"#\""));
        assert!(html_of("[a](JAVASCRIPT:x)").contains("href=\"#\""));
        assert!(html_of("![a](data:text/html,x)").contains("src=\"#\""));
        assert!(html_of("[a](https://x.org/a:b)").contains("href=\"https://x.org/a:b\""));
        assert!(html_of("[a](page?a:b)").contains("href=\"page?a:b\""));
    }
}
