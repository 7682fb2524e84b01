//! Who a node is and what it certifies with, kept in files and read back.

use std::os::unix::fs::PermissionsExt as _;

use transport::{Authority, Identity, NodeKey};

#[test]
fn an_identity_reads_back_from_its_directory_and_only_its_owner_may() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("identity");
    let authority = Authority::create().unwrap();
    let written = Identity::issued_by(&authority).unwrap();
    written.save(&home).unwrap();
    written.save(&home).unwrap();

    let read = Identity::load(&home).unwrap();
    assert_eq!(read.id(), written.id());
    assert_eq!(read.certificate(), written.certificate());
    assert_eq!(read.authority(), authority.certificate());
    let mut files: Vec<_> = std::fs::read_dir(&home)
        .unwrap()
        .map(|entry| entry.unwrap())
        .collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    assert_eq!(
        files
            .iter()
            .map(|file| file.file_name().into_string().unwrap())
            .collect::<Vec<_>>(),
        ["authority.pem", "certificate.pem", "key.pem"]
    );
    for file in files {
        assert_eq!(
            file.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{file:?}"
        );
    }
}

#[test]
fn an_identity_that_does_not_fit_together_says_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let said = || Identity::load(home).unwrap_err().to_string();
    assert!(said().contains("key.pem"));

    let authority = Authority::create().unwrap();
    let (ours, theirs) = (
        Identity::issued_by(&authority).unwrap(),
        Identity::issued_by(&authority).unwrap(),
    );
    theirs.save(home).unwrap();
    let their_certificate = std::fs::read(home.join("certificate.pem")).unwrap();
    ours.save(home).unwrap();
    std::fs::write(home.join("certificate.pem"), their_certificate).unwrap();
    assert!(said().contains(&theirs.id().to_string()), "{}", said());

    ours.save(home).unwrap();
    std::fs::write(home.join("certificate.pem"), "not a certificate").unwrap();
    assert!(said().contains("certificate.pem` is damaged"), "{}", said());

    ours.save(home).unwrap();
    let another = Authority::create().unwrap();
    std::fs::write(home.join("authority.pem"), another.certificate_pem()).unwrap();
    assert!(said().contains("not valid in this bramble"), "{}", said());
}

#[test]
fn an_authority_reads_back_and_goes_on_certifying() {
    let first = Authority::create().unwrap();
    let again = Authority::from_pem(first.certificate_pem(), &first.key_pem()).unwrap();
    let key = NodeKey::generate().unwrap();
    let (node, certificate) = again.issue(&key.request().unwrap()).unwrap();
    assert_eq!(node, key.id());
    let identity = Identity::new(key, certificate, first.certificate().clone()).unwrap();
    assert_eq!(identity.id(), node);

    let another = Authority::create().unwrap();
    assert!(Authority::from_pem(first.certificate_pem(), &another.key_pem()).is_err());
}

#[test]
fn a_request_for_a_certificate_that_was_tampered_with_is_refused() {
    let authority = Authority::create().unwrap();
    let mut request = NodeKey::generate().unwrap().request().unwrap();
    assert!(authority.issue(b"nonsense").is_err());
    // A bit of the public key.
    let middle = request.len() / 3;
    request[middle] ^= 1;
    assert!(authority.issue(&request).is_err());
}
