//! TLS to the world: who is trusted, and how to look at those who are not.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// Those whom browsers trust, as of this program's making.
fn roots() -> Arc<RootCertStore> {
    Arc::new(RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    })
}

/// For connections that trust those whom browsers trust.
pub(super) fn careful() -> Arc<ClientConfig> {
    let config = builder().with_root_certificates(roots()).with_no_client_auth();
    Arc::new(config)
}

/// For connections to whoever is there.
pub(super) fn careless() -> Arc<ClientConfig> {
    let anybody = Arc::new(Anybody(Arc::new(ring::default_provider())));
    let config = builder()
        .dangerous()
        .with_custom_certificate_verifier(anybody)
        .with_no_client_auth();
    Arc::new(config)
}

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring does both versions")
}

/// Whether browsers would trust these certificates of a server of that name.
///
/// # Errors
/// Why not.
pub(super) fn judge(chain: &[CertificateDer<'_>], name: &ServerName<'_>, now: UnixTime) -> Result<(), Error> {
    let (first, rest) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(), Arc::new(ring::default_provider()))
        .build()
        .map_err(|why| Error::General(why.to_string()))?;
    verifier
        .verify_server_cert(first, rest, name, &[], now)
        .map(|_| ())
}

/// Takes every certificate, and still checks that the server has its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
