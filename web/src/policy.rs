//! What browsers may do on the portal's pages.
//!
//! Scripts and styles need a number that every page draws anew, and not just this origin: functions answer at the same
//! origin, so that "from here" would let in a script of theirs. No frames, no forms to elsewhere, and no data becomes
//! HTML (`require-trusted-types-for`), except in the sandboxed preview of an answer.

use axum::{extract::Request, middleware::Next, response::Response};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use http::{HeaderName, HeaderValue, header};

/// The number of one answer, by which its scripts and styles are known.
#[derive(Clone, Debug)]
pub(crate) struct Nonce(pub(crate) String);

impl Nonce {
    fn draw() -> Option<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).ok()?;
        Some(Self(STANDARD_NO_PAD.encode(bytes)))
    }

    fn policy(&self) -> String {
        let nonce = &self.0;
        format!(
            "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self' blob:; \
             media-src blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
             require-trusted-types-for 'script'; trusted-types preview"
        )
    }
}

/// Draws the number, lets the page be made with it, and says in the answer what may run.
pub(crate) async fn guard(mut request: Request, next: Next) -> Response {
    let nonce = Nonce::draw();
    let policy = match &nonce {
        Some(nonce) => nonce.policy(),
        // Without a number nothing runs: the page says that it needs scripts.
        None => "default-src 'none'; form-action 'self'; frame-ancestors 'none'".to_owned(),
    };
    request
        .extensions_mut()
        .insert(nonce.unwrap_or(Nonce(String::new())));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: the origin of a form would then read `null`, and signing in tells nobody from anybody.
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_lets_no_script_in_but_by_its_number() {
        let policy = Nonce("number".to_owned()).policy();
        assert!(policy.contains("script-src 'nonce-number';"));
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(!policy.contains("script-src 'self'"), "{policy}");
    }

    #[test]
    fn no_two_pages_have_the_same_number() {
        let (one, other) = (Nonce::draw().unwrap(), Nonce::draw().unwrap());
        assert_ne!(one.0, other.0);
        assert!(one.0.len() >= 22);
    }
}
