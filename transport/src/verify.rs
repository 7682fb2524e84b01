//! Who is at the other end: the checks that both sides of a handshake make.
//!
//! A peer is who it says it is when its certificate is signed by this bramble's authority, the certificate's name is
//! `<node id>.bramble`, and that id is the hash of the certificate's own key. The side that dials also checks that
//! the name is that of the node it meant to reach. The handshake itself proves that the peer holds the key.

use std::sync::Arc;

use api::NodeId;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::CryptoProvider,
    server::{
        ParsedCertificate, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};

/// The name in a node's certificate.
pub(crate) fn san_of(node: NodeId) -> String {
    format!("{node}.bramble")
}

/// The name under which `node` is dialled.
pub(crate) fn server_name(node: NodeId) -> ServerName<'static> {
    ServerName::try_from(san_of(node)).expect("32 hexadecimal digits and a word are a DNS name")
}

/// The public key (SubjectPublicKeyInfo, DER) that a certificate is about.
pub(crate) fn public_key_of(
    certificate: &CertificateDer<'_>,
) -> Result<SubjectPublicKeyInfoDer<'static>, Error> {
    Ok(ParsedCertificate::try_from(certificate)?.subject_public_key_info())
}

/// Whose certificate this is: the id of its key, provided the certificate names the same id.
pub(crate) fn node_of(certificate: &CertificateDer<'_>) -> Result<NodeId, Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    let node = NodeId::from_public_key(&parsed.subject_public_key_info());
    verify_server_name(&parsed, &server_name(node))?;
    Ok(node)
}

/// The time at which every certificate is judged: 1 January 2026. A Pi has no clock at boot, and may lie in a
/// cupboard for years; membership, which is asked per request, is what ends.
pub(crate) const JUDGED_AT: UnixTime =
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_767_225_600));

/// Whether the authority with this certificate has certified that `certificate` is `node`'s.
pub(crate) fn vouches_for(
    authority: &CertificateDer<'_>,
    certificate: &CertificateDer<'_>,
    node: NodeId,
) -> bool {
    let provider = crate::tls::provider();
    PeerVerifier::new(authority, &provider).is_ok_and(|verifier| {
        verifier
            .verify_server_cert(certificate, &[], &server_name(node), &[], JUDGED_AT)
            .is_ok()
    })
}

/// The checks of both sides, for one bramble.
#[derive(Debug)]
pub(crate) struct PeerVerifier {
    as_client: Arc<WebPkiServerVerifier>,
    as_server: Arc<dyn ClientCertVerifier>,
}

impl PeerVerifier {
    /// Trusts the authority with this certificate and nobody else.
    pub(crate) fn new(authority: &CertificateDer<'_>, provider: &Arc<CryptoProvider>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let roots = Arc::new(roots);
        let broken = |error: rustls::server::VerifierBuilderError| Error::General(error.to_string());
        Ok(Self {
            as_client: WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone())
                .build()
                .map_err(broken)?,
            as_server: WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
                .build()
                .map_err(broken)?,
        })
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.as_client.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            JUDGED_AT,
        )?;
        node_of(end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("nodes speak TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.as_client.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.as_client.supported_verify_schemes()
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.as_server.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self
            .as_server
            .verify_client_cert(end_entity, intermediates, JUDGED_AT)?;
        node_of(end_entity).map_err(|_| CertificateError::ApplicationVerificationFailure)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("nodes speak TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.as_server.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.as_server.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Authority, Identity};

    #[test]
    fn a_node_whose_clock_says_1970_and_one_whose_clock_says_2090_recognise_each_other() {
        let authority = Authority::create().unwrap();
        let identity = Identity::issued_by(&authority).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = PeerVerifier::new(authority.certificate(), &provider).unwrap();
        let name = server_name(identity.id());
        for seconds in [0, 3_786_912_000] {
            let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            let certificate = identity.certificate();
            assert!(
                verifier
                    .verify_server_cert(certificate, &[], &name, &[], now)
                    .is_ok()
            );
            assert!(verifier.verify_client_cert(certificate, &[], now).is_ok());
        }
    }

    #[test]
    fn a_certificate_says_whose_key_it_holds() {
        let identity = Identity::issued_by(&Authority::create().unwrap()).unwrap();
        assert_eq!(node_of(identity.certificate()).unwrap(), identity.id());
    }
}
