//! An attacker that speaks the real protocol over TLS of its own making.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use api::NodeId;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{ring, verify_tls13_signature},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// A key and certificate of an attacker's own make, and TLS that believes anything.
pub(crate) struct Forger {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) id: NodeId,
}

#[derive(Debug)]
pub(crate) struct Gullible;

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        unreachable!("TLS 1.3 only")
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl ClientCertVerifier for Gullible {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        unreachable!("TLS 1.3 only")
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        ServerCertVerifier::verify_tls13_signature(self, message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ServerCertVerifier::supported_verify_schemes(self)
    }
}

pub(crate) const ALPN: &[u8] = b"bramble-join/1";

impl Forger {
    pub(crate) fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let id = NodeId::from_public_key(rcgen::PublicKeyData::subject_public_key_info(&key).as_ref());
        let params = rcgen::CertificateParams::new([format!("{id}.bramble")]).unwrap();
        Self {
            certificate: params.self_signed(&key).unwrap().der().clone(),
            key: PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
            id,
        }
    }

    pub(crate) async fn dial(
        &self,
        to: SocketAddr,
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        self.dial_for(to, ALPN).await
    }

    /// Connects for a certain protocol, whoever answers.
    pub(crate) async fn dial_for(
        &self,
        to: SocketAddr,
        protocol: &[u8],
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let name = ServerName::try_from("anyone.bramble").unwrap();
        let socket = TcpStream::connect(to).await?;
        tokio_rustls::TlsConnector::from(self.config(protocol))
            .connect(name, socket)
            .await
    }

    /// So many connections at a time on which somebody begins to speak and says no more.
    pub(crate) async fn knocks(&self, to: SocketAddr, count: usize) -> Vec<TcpStream> {
        let name = ServerName::try_from("anyone.bramble").unwrap();
        let mut hello = Vec::new();
        rustls::ClientConnection::new(self.config(ALPN), name)
            .unwrap()
            .write_tls(&mut hello)
            .unwrap();
        let mut streams = Vec::new();
        for _ in 0..count {
            if let Ok(mut stream) = TcpStream::connect(to).await
                && stream.write_all(&hello).await.is_ok()
            {
                streams.push(stream);
            }
        }
        streams
    }

    fn config(&self, protocol: &[u8]) -> Arc<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Gullible))
            .with_client_auth_cert(vec![self.certificate.clone()], self.key.clone_key())
            .unwrap();
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    }

    /// A relay that ends TLS on both sides and passes on what is said. Answers where to knock.
    pub(crate) async fn relay(self, to: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(Arc::new(Gullible))
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())
            .unwrap();
        config.alpn_protocols = vec![ALPN.to_vec()];
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config.clone()));
                if let (Ok(mut inner), Ok(mut outer)) = (acceptor.accept(socket).await, self.dial(to).await) {
                    _ = copy_bidirectional(&mut inner, &mut outer).await;
                }
            }
        });
        address
    }
}

pub(crate) async fn say(stream: &mut (impl tokio::io::AsyncWrite + Unpin), message: &str) {
    let length = u32::try_from(message.len()).unwrap();
    _ = stream.write_u32(length).await;
    _ = stream.write_all(message.as_bytes()).await;
    _ = stream.flush().await;
}

pub(crate) async fn hear(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<String> {
    let attempt = async {
        let length = stream.read_u32().await?;
        let mut message = vec![0; length as usize];
        stream.read_exact(&mut message).await?;
        std::io::Result::Ok(String::from_utf8(message).unwrap())
    };
    timeout(Duration::from_secs(15), attempt).await.ok()?.ok()
}
