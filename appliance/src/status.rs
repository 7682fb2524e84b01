//! What a Pi says about itself on its screen and its card. Pure.

use std::{fmt::Write as _, net::IpAddr};

use qrcode::{QrCode, render::unicode};

/// What is known about this Pi.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Board, as it calls itself.
    pub board: String,
    /// Host name.
    pub hostname: String,
    /// The portal's name, before `.local`.
    pub portal: String,
    /// Addresses by which others reach it, the best first.
    pub addresses: Vec<IpAddr>,
    /// Whether the node answers.
    pub answers: bool,
    /// What the node wants people in front of this Pi to read; for the screen alone.
    pub sign: String,
    /// What is wrong on the card and how to cure it, a sentence each.
    pub complaints: Vec<String>,
}

impl Status {
    /// For people, in lines of at most 80 letters where addresses allow it.
    pub fn text(&self) -> String {
        let mut text = format!("Bramble on {} ({})\n\n", self.board, self.hostname);
        match self.addresses.first() {
            None => text += "No network: plug a cable in, or write Wi-Fi into bramble.toml on the card.\n",
            Some(_) if !self.answers => {
                text += "The node is starting. That takes a few minutes on a new card.\n"
            }
            Some(_) => text += "The portal answers. Open one of these in a browser:\n",
        }
        if !self.addresses.is_empty() {
            _ = writeln!(text, "  http://{}.local/", self.portal);
        }
        for address in &self.addresses {
            _ = writeln!(text, "  {}", url(*address));
        }
        if !self.complaints.is_empty() {
            text += "\nOn the card, please mend:\n";
            for complaint in &self.complaints {
                _ = writeln!(text, "  - {complaint}");
            }
        }
        text
    }

    /// For the screen, above the (closed) login: the same, with a code to photograph.
    pub fn screen(&self) -> String {
        let mut text = self.text();
        if !self.sign.is_empty() {
            _ = writeln!(text, "\n{}", self.sign);
        }
        // agetty reads backslashes.
        text = text.replace('\\', "\\\\");
        if let Some(address) = self.addresses.first()
            && let Ok(code) = QrCode::new(url(*address))
        {
            // Screens are dark where paper is light.
            let (light, dark) = (unicode::Dense1x2::Dark, unicode::Dense1x2::Light);
            let mut drawn = code.render::<unicode::Dense1x2>();
            let drawn = drawn.light_color(light).dark_color(dark).quiet_zone(true).build();
            _ = write!(text, "\n{drawn}\n");
        }
        text + "\n"
    }
}

fn url(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("http://{address}/"),
        IpAddr::V6(address) => format!("http://[{address}]/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        Status {
            board: "Raspberry Pi 3 Model B".to_owned(),
            hostname: "pi-7f2a".to_owned(),
            portal: "class-4b".to_owned(),
            addresses: vec![[192, 168, 1, 20].into()],
            answers: true,
            sign: "First visit: choose the admin password with the code k7q2-m9fd.".to_owned(),
            complaints: vec!["bramble.toml, line 2: country = \"England\" must be two letters".to_owned()],
        }
    }

    #[test]
    fn it_says_where_the_portal_is_and_what_to_mend() {
        assert_eq!(
            status().text(),
            "Bramble on Raspberry Pi 3 Model B (pi-7f2a)\n\nThe portal answers. Open one of these in a browser:\n  http://class-4b.local/\n  http://192.168.1.20/\n\nOn the card, please mend:\n  - bramble.toml, line 2: country = \"England\" must be two letters\n"
        );
    }

    #[test]
    fn without_a_network_it_says_how_to_get_one() {
        let alone = Status {
            addresses: Vec::new(),
            ..status()
        };
        assert!(alone.text().contains("plug a cable in"));
        assert!(!alone.screen().contains('█'));
    }

    #[test]
    fn the_screen_shows_a_code_that_fits_on_it() {
        let screen = status().screen();
        assert!(screen.contains('█'));
        assert!(screen.contains("the code k7q2-m9fd."));
        assert!(!status().text().contains("k7q2"), "not on the card");
        assert!(screen.lines().count() <= 30, "{}", screen.lines().count());
    }
}
