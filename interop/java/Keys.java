import eu.emi.security.authn.x509.X509Credential;
import eu.emi.security.authn.x509.impl.PEMCredential;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import org.apache.ws.security.components.crypto.Merlin;

/** Credentials by alias, as a key store in memory: the certificates and keys that the peer knows. */
final class Keys {
    static final String PASSWORD = "x";

    private final KeyStore store;

    Keys() throws Exception {
        store = KeyStore.getInstance("JKS");
        store.load(null, null);
    }

    void add(String alias, String credentialFile) throws Exception {
        X509Credential c = new PEMCredential(credentialFile, (char[]) null);
        store.setKeyEntry(alias, c.getKey(), PASSWORD.toCharArray(), c.getCertificateChain());
    }

    X509Certificate certificate(String alias) throws Exception {
        return (X509Certificate) store.getCertificate(alias);
    }

    PrivateKey key(String alias) throws Exception {
        return (PrivateKey) store.getKey(alias, PASSWORD.toCharArray());
    }

    /** The store as WSS4J wants it. */
    Merlin crypto() throws Exception {
        Merlin merlin = new Merlin();
        merlin.setKeyStore(store);
        return merlin;
    }
}
