//! The TLS under the join protocol: each side shows its own key, and nobody vouches for it yet.

use std::sync::Arc;

use api::NodeId;
use rustls::{
    ClientConfig, CommonState, ConnectionCommon, DigitallySignedStruct, DistinguishedName, Error,
    ServerConfig, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls13_signature},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::proof::{Channel, hash};
use crate::{
    Identity, IdentityError, NodeKey,
    tls::{NoClock, provider, without_aes},
    verify::{node_of, public_key_of},
};

/// The join protocol, by ALPN.
pub(crate) const JOIN: &[u8] = b"bramble-join/1";

/// Takes any node for what its own key makes it.
#[derive(Debug)]
struct AnyNode {
    provider: Arc<CryptoProvider>,
    /// The only one that is meant, where that is known.
    meant: Option<NodeId>,
}

impl AnyNode {
    fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let found = node_of(certificate)?;
        match self.meant {
            Some(meant) if meant != found => {
                Err(Error::General(format!("{found} answers where {meant} was meant")))
            }
            _ => Ok(()),
        }
    }

    fn signed(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }
}

/// The answer to TLS 1.2, which is not offered anyway.
fn too_old() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::General("nodes speak TLS 1.3 only".to_owned()))
}

impl ServerCertVerifier for AnyNode {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl ClientCertVerifier for AnyNode {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// What the node with `key` knocks with, at the node `meant` or at whoever answers.
pub(super) fn joiner(key: &NodeKey, meant: Option<NodeId>) -> Result<Arc<ClientConfig>, IdentityError> {
    let refuse = |source| IdentityError::NotValid {
        node: key.id(),
        source,
    };
    let provider = provider();
    let verifier = AnyNode {
        provider: Arc::clone(&provider),
        meant,
    };
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(NoClock))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refuse)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(vec![key.self_signed()?], key.private())
        .map_err(refuse)?;
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    config.alpn_protocols = vec![JOIN.to_vec()];
    Ok(Arc::new(config))
}

/// What a candidate is knocked at with.
pub(super) fn candidate(key: &NodeKey) -> Result<Arc<ServerConfig>, IdentityError> {
    host(key.id(), key.self_signed()?, key.private())
}

/// What a member is knocked at with.
pub(super) fn member(identity: &Identity) -> Result<Arc<ServerConfig>, IdentityError> {
    host(identity.id(), identity.certificate().clone(), identity.private())
}

fn host(
    node: NodeId,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, IdentityError> {
    let refuse = |source| IdentityError::NotValid { node, source };
    let provider = provider();
    let verifier = AnyNode {
        provider: Arc::clone(&provider),
        meant: None,
    };
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(NoClock))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refuse)?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(vec![certificate], key)
        .map_err(refuse)?;
    config.alpn_protocols = vec![JOIN.to_vec()];
    config.send_tls13_tickets = 0;
    config.ignore_client_order = without_aes();
    Ok(Arc::new(config))
}

/// The other end of a handshake that is over.
pub(super) fn other_end(connection: &CommonState) -> Result<(NodeId, CertificateDer<'static>), Error> {
    let certificate = connection.peer_certificates().and_then(<[_]>::first);
    let certificate = certificate.ok_or(Error::NoCertificatesPresented)?;
    Ok((node_of(certificate)?, certificate.clone().into_owned()))
}

/// What a proof on this connection is bound to.
pub(super) fn channel<Data>(
    connection: &ConnectionCommon<Data>,
    host: &CertificateDer<'_>,
    joiner: &CertificateDer<'_>,
) -> Result<Channel, Error> {
    Ok(Channel {
        exporter: connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(&[]))?,
        host_key: hash(&public_key_of(host)?),
        joiner_key: hash(&public_key_of(joiner)?),
    })
}
