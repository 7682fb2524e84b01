//! The bramble's own certificate authority.
//!
//! One per bramble, and the only one that its nodes trust. It certifies one thing: that the node whose id is hashed
//! from this key was let into this bramble once. Nothing that a request for a certificate asks for is taken over but
//! the key.

use api::NodeId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, pem::PemObject};

use crate::verify::san_of;

/// What went wrong with the authority's own key or with a request to it.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The authority could not be made.
    #[error("failed to make the bramble's certificate authority")]
    Create(#[source] rcgen::Error),
    /// The stored authority could not be read.
    #[error("failed to read the bramble's certificate authority")]
    Read(#[source] rcgen::Error),
    /// The stored certificate and key are not a pair.
    #[error("the authority's certificate does not belong to its key")]
    NotAPair,
    /// The request for a certificate is damaged, or not signed by the key that it names.
    #[error("failed to read a node's request for a certificate")]
    Request(#[source] rcgen::Error),
    /// The request names another key than the one that its sender proved to hold.
    #[error("node {asked} asks for a certificate for the key of {named}")]
    AnotherKey {
        /// Who asked.
        asked: NodeId,
        /// Whose key it is.
        named: NodeId,
    },
    /// Signing failed.
    #[error("failed to certify node {node}")]
    Issue {
        /// Who asked.
        node: NodeId,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
}

/// The bramble's certificate authority: its key, and its own certificate that every node holds.
pub struct Authority {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// The dates that every certificate of a bramble carries. They mean nothing (see the `tls` module); these are the widest that
/// other tools still read.
fn dateless(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(9999, 12, 31);
}

impl Authority {
    /// Makes the authority of a new bramble, with a key of its own.
    ///
    /// # Errors
    /// [`AuthorityError::Create`] if the system gives no randomness.
    pub fn create() -> Result<Self, AuthorityError> {
        let key = KeyPair::generate().map_err(AuthorityError::Create)?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name = name("bramble authority");
        dateless(&mut params);
        let certificate = params.self_signed(&key).map_err(AuthorityError::Create)?;
        Ok(Self {
            certificate: certificate.der().clone(),
            certificate_pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    /// Reads an authority back from [`certificate_pem`](Self::certificate_pem) and [`key_pem`](Self::key_pem).
    ///
    /// # Errors
    /// [`AuthorityError::Read`] where either is damaged, [`AuthorityError::NotAPair`] where they do not belong
    /// together.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, AuthorityError> {
        let key = KeyPair::from_pem(key_pem).map_err(AuthorityError::Read)?;
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|_| AuthorityError::Read(rcgen::Error::CouldNotParseCertificate))?;
        let public_key = crate::verify::public_key_of(&certificate)
            .map_err(|_| AuthorityError::Read(rcgen::Error::CouldNotParseCertificate))?;
        if public_key.as_ref() != key.subject_public_key_info() {
            return Err(AuthorityError::NotAPair);
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(AuthorityError::Read)?;
        Ok(Self {
            certificate: certificate.into_owned(),
            certificate_pem: certificate_pem.to_owned(),
            issuer,
        })
    }

    /// Certifies the node that signed this request ([`NodeKey::request`](crate::NodeKey::request), DER), and says
    /// who it is. Whether it should be let in is for the caller to know.
    ///
    /// # Errors
    /// [`AuthorityError::Request`] where the request is damaged or not signed by its own key.
    pub fn issue(&self, request: &[u8]) -> Result<(NodeId, CertificateDer<'static>), AuthorityError> {
        let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request))
            .map_err(AuthorityError::Request)?;
        let public_key = request.public_key;
        let node = NodeId::from_public_key(&public_key.subject_public_key_info());
        let certificate = self.certify(node, &public_key)?;
        Ok((node, certificate))
    }

    /// Certifies that `public_key` is `node`'s, which it must be for anyone to believe it.
    pub(crate) fn certify(
        &self,
        node: NodeId,
        public_key: &impl PublicKeyData,
    ) -> Result<CertificateDer<'static>, AuthorityError> {
        let refuse = |source| AuthorityError::Issue { node, source };
        let mut params = CertificateParams::new([san_of(node)]).map_err(refuse)?;
        params.distinguished_name = name(&node.to_string());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        dateless(&mut params);
        let certificate = params.signed_by(public_key, &self.issuer).map_err(refuse)?;
        Ok(certificate.der().clone())
    }

    /// The authority's certificate, DER: what a node needs to recognise the others.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The authority's certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The authority's private key, PEM. Whoever has it can let nodes in.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }
}

/// A distinguished name of one common name.
fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}
