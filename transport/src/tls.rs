//! The TLS that nodes speak: 1.3 only, both sides certified, no resumption, no clock.
//!
//! Sessions are not resumed: a resumed session would skip the certificate, and connections between nodes are few and
//! live long, so there is nothing to win.

use std::sync::{Arc, LazyLock};

use rustls::{
    ClientConfig, Error, ServerConfig, SupportedCipherSuite,
    client::{Resumption, danger::ServerCertVerifier as _},
    crypto::{CryptoProvider, ring},
    server::danger::ClientCertVerifier as _,
    time_provider::TimeProvider,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use crate::verify::{JUDGED_AT, PeerVerifier, node_of, server_name};

/// The protocols of the node-to-node port, by ALPN.
pub(crate) const H2: &[u8] = b"h2";
pub(crate) const HTTP_1_1: &[u8] = b"http/1.1";

/// A clock that stands still.
#[derive(Debug)]
pub(crate) struct NoClock;

impl TimeProvider for NoClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(JUDGED_AT)
    }
}

/// Whether this CPU has AES instructions: a Pi 5 has, those before it do not, and without them
/// ChaCha20-Poly1305 is several times faster.
fn has_aes(cpuinfo: &str) -> bool {
    cpuinfo
        .lines()
        .filter(|line| line.starts_with("flags") || line.starts_with("Features"))
        .any(|line| line.split_whitespace().any(|feature| feature == "aes"))
}

static CPU_HAS_AES: LazyLock<bool> =
    LazyLock::new(|| has_aes(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default()));

/// Whether this CPU is slow at AES, so that its favourite suite should be chosen whoever dials.
pub(crate) fn without_aes() -> bool {
    !*CPU_HAS_AES
}

/// The cipher suites, the favourite of a CPU with or without AES first.
fn suites(has_aes: bool) -> Vec<SupportedCipherSuite> {
    let (chacha, aes) = (
        ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
    );
    match has_aes {
        true => vec![aes, chacha],
        false => vec![chacha, aes],
    }
}

/// The cipher suites, this CPU's favourite first.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: suites(*CPU_HAS_AES),
        ..ring::default_provider()
    })
}

/// What a node needs to take and to make connections.
#[derive(Debug)]
pub(crate) struct Configs {
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) client_h2: Arc<ClientConfig>,
    pub(crate) client_http1: Arc<ClientConfig>,
}

impl Configs {
    pub(crate) fn new(
        key: &PrivateKeyDer<'static>,
        certificate: &CertificateDer<'static>,
        authority: &CertificateDer<'static>,
    ) -> Result<Self, Error> {
        let provider = provider();
        let verifier = Arc::new(PeerVerifier::new(authority, &provider)?);
        // Better a sentence at start than a handshake that fails later.
        let name = server_name(node_of(certificate)?);
        verifier.verify_server_cert(certificate, &[], &name, &[], JUDGED_AT)?;
        verifier.verify_client_cert(certificate, &[], JUDGED_AT)?;
        let versions = &[&rustls::version::TLS13];

        let mut server = ServerConfig::builder_with_details(provider.clone(), Arc::new(NoClock))
            .with_protocol_versions(versions)?
            .with_client_cert_verifier(verifier.clone())
            .with_single_cert(vec![certificate.clone()], key.clone_key())?;
        server.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
        server.send_tls13_tickets = 0;
        // A connection is as fast as its slower end: without AES here, our order counts.
        server.ignore_client_order = without_aes();

        let mut client = ClientConfig::builder_with_details(provider, Arc::new(NoClock))
            .with_protocol_versions(versions)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_auth_cert(vec![certificate.clone()], key.clone_key())?;
        client.resumption = Resumption::disabled();
        client.enable_sni = false;
        client.alpn_protocols = vec![H2.to_vec()];
        let mut client_http1 = client.clone();
        client_http1.alpn_protocols = vec![HTTP_1_1.to_vec()];

        Ok(Self {
            server: Arc::new(server),
            client_h2: Arc::new(client),
            client_http1: Arc::new(client_http1),
        })
    }
}

#[cfg(test)]
mod tests {
    use rustls::CipherSuite;

    use super::*;

    #[test]
    fn a_pi_4_has_no_aes_and_a_pi_5_has() {
        assert!(!has_aes(
            "model name : ARMv8\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"
        ));
        assert!(has_aes(
            "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics\n"
        ));
        assert!(has_aes("flags\t\t: fpu vme aes avx\n"));
        assert!(!has_aes(""));
    }

    #[test]
    fn without_aes_in_the_cpu_chacha20_comes_first_and_both_speak_both() {
        let names = |has_aes| {
            suites(has_aes)
                .iter()
                .map(|suite| suite.suite())
                .collect::<Vec<_>>()
        };
        let (chacha, aes) = (
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
            CipherSuite::TLS13_AES_128_GCM_SHA256,
        );
        assert_eq!(names(false), [chacha, aes]);
        assert_eq!(names(true), [aes, chacha]);
    }

    #[test]
    fn the_clock_of_tls_stands_still() {
        assert_eq!(NoClock.current_time(), NoClock.current_time());
    }
}
