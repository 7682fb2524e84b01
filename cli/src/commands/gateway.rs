//! Which gateway a command speaks to. Pure: what was said goes in, an address comes out.

use std::net::IpAddr;

use http::Uri;

/// Where a gateway listens on this computer. In a stack file it stands for "none chosen", because tools write it
/// there themselves.
pub(crate) const LOCAL: &str = "http://127.0.0.1:8080";

/// Where a bramble answers in a home or a class.
pub(crate) const BY_NAME: &str = "http://bramble.local";

/// The address as it is kept and compared: lower-case, with a scheme, without a slash at its end.
///
/// # Errors
/// A sentence where it is none.
pub(crate) fn normalize(text: &str) -> Result<String, String> {
    let text = text.trim().to_lowercase();
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", &text));
    let rest = rest.trim_end_matches('/');
    if rest.is_empty() {
        return Err("the gateway's address is empty; give one like http://bramble.local".to_owned());
    }
    if scheme != "http" && scheme != "https" {
        return Err(format!(
            "{text} is no address of a gateway: it has to begin with http:// or https://"
        ));
    }
    let url = format!("{scheme}://{rest}");
    let valid = url.parse::<Uri>().is_ok_and(|uri| {
        let has_user = uri
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'));
        uri.host().is_some_and(|host| !host.is_empty()) && uri.query().is_none() && !has_user
    });
    if !valid {
        return Err(format!(
            "{text} is no address of a gateway; give one like http://bramble.local or 192.168.1.20:8080"
        ));
    }
    Ok(url)
}

/// What was said about the gateway, the strongest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// `--gateway`.
    pub(crate) flag: Option<String>,
    /// `provider.gateway` of a stack file.
    pub(crate) stack: Option<String>,
    /// `OPENFAAS_URL`.
    pub(crate) environment: Option<String>,
    /// The gateway where somebody signed in last.
    pub(crate) login: Option<String>,
}

/// The gateway that was chosen, if any.
///
/// # Errors
/// A sentence where the choice is no address.
pub(crate) fn choose(said: &Said) -> Result<Option<String>, String> {
    let filled = |text: &&String| !text.trim().is_empty();
    if let Some(flag) = said.flag.as_ref() {
        return normalize(flag).map(Some);
    }
    if let Some(stack) = said.stack.as_ref().filter(filled) {
        let stack = normalize(stack)?;
        if stack != LOCAL {
            return Ok(Some(stack));
        }
    }
    let rest = said.environment.as_ref().filter(filled);
    rest.or(said.login.as_ref()).map(|url| normalize(url)).transpose()
}

/// Whether passwords for `url` cross networks of others in the clear: plain HTTP to neither this computer nor a
/// network at home.
pub(crate) fn is_exposed(url: &str) -> bool {
    if url.starts_with("https:") {
        return false;
    }
    let Ok(uri) = url.parse::<Uri>() else { return true };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => !(v4.is_loopback() || v4.is_private() || v4.is_link_local()),
        Ok(IpAddr::V6(v6)) => !(v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local()),
        // A name without dots is looked up at home, if anywhere.
        Err(_) => host.contains('.') && !host.ends_with(".local"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_as_other_tools_keep_them() {
        let rows = [
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("HTTP://Bramble.Local", "http://bramble.local"),
            ("bramble.local", "http://bramble.local"),
            ("192.168.1.20:8080", "http://192.168.1.20:8080"),
            ("https://x.example/openfaas/", "https://x.example/openfaas"),
            ("[::1]:8080", "http://[::1]:8080"),
        ];
        for (text, expected) in rows {
            assert_eq!(normalize(text).as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "",
            " ",
            "ftp://x",
            "http://",
            "a b",
            "http://admin:x@host",
            "http://h?x=1",
        ] {
            assert!(normalize(text).is_err(), "{text}");
        }
    }

    fn said(flag: &str, stack: &str, environment: &str, login: &str) -> Said {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Said {
            flag: some(flag),
            stack: some(stack),
            environment: some(environment),
            login: some(login),
        }
    }

    #[test]
    fn the_strongest_word_counts() {
        let rows = [
            (said("a", "b", "c", "d"), Some("http://a")),
            (said("", "b", "c", "d"), Some("http://b")),
            (said("", "", "c", "d"), Some("http://c")),
            (said("", "", "", "d"), Some("http://d")),
            (said("", "", "", ""), None),
            // What tools write into a stack file by themselves is no choice; what somebody types is.
            (said("", "http://127.0.0.1:8080", "c", ""), Some("http://c")),
            (said("http://127.0.0.1:8080", "b", "c", ""), Some(LOCAL)),
        ];
        for (said, expected) in rows {
            assert_eq!(choose(&said).unwrap().as_deref(), expected, "{said:?}");
        }
    }

    #[test]
    fn networks_at_home_need_no_warning() {
        for url in [
            "http://127.0.0.1:8080",
            "http://bramble.local",
            "http://192.168.1.20",
            "http://pi:8080",
            "http://[::1]:1",
            "https://bramble.example",
        ] {
            assert!(!is_exposed(url), "{url}");
        }
        for url in ["http://bramble.example", "http://93.184.216.34:8080"] {
            assert!(is_exposed(url), "{url}");
        }
    }
}
