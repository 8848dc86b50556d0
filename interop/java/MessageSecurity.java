import eu.emi.security.authn.x509.X509Credential;
import eu.emi.security.authn.x509.impl.PEMCredential;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.apache.ws.security.WSConstants;
import org.apache.ws.security.WSDataRef;
import org.apache.ws.security.WSEncryptionPart;
import org.apache.ws.security.WSSConfig;
import org.apache.ws.security.WSSecurityEngine;
import org.apache.ws.security.WSSecurityEngineResult;
import org.apache.ws.security.WSSecurityException;
import org.apache.ws.security.components.crypto.Merlin;
import org.apache.ws.security.message.WSSecHeader;
import org.apache.ws.security.message.WSSecSignature;
import org.apache.ws.security.message.WSSecTimestamp;
import org.w3c.dom.Document;
import org.w3c.dom.Element;

/** Signs and verifies SOAP messages with WSS4J: GSI Secure Message, signature, as facts/gt4-wire.md has it. */
final class MessageSecurity {
    private static final String RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";

    private final X509Credential credential;
    private final WSSConfig config = WSSConfig.getNewInstance();

    /** Either file may be null: without a credential it cannot sign, without a CA directory it cannot verify. */
    MessageSecurity(String credentialFile, String caDirectory) throws Exception {
        credential = credentialFile == null ? null : new PEMCredential(credentialFile, (char[]) null);
        config.setWsiBSPCompliant(false); // GT4 writes EncodingType and prefix lists in its own way
        if (caDirectory != null) {
            config.setValidator(WSSecurityEngine.SIGNATURE, new GridTrust(caDirectory));
        }
    }

    /** Writes InclusiveNamespaces into every transform, as the Basic Security Profile wants. */
    void listPrefixes() {
        config.setWsiBSPCompliant(true);
    }

    /** Signs the Body, a Timestamp and every header block. */
    void sign(Document message, boolean sha256, boolean pkiPath) throws Exception {
        WSSecHeader header = new WSSecHeader();
        header.setMustUnderstand(true);
        header.insertSecurityHeader(message);
        WSSecTimestamp timestamp = new WSSecTimestamp(config);
        timestamp.setTimeToLive(300);
        timestamp.build(message, header);

        WSSecSignature signature = new WSSecSignature(config);
        signature.setUserInfo(credential.getKeyAlias(), new String(credential.getKeyPassword()));
        signature.setKeyIdentifierType(WSConstants.BST_DIRECT_REFERENCE);
        signature.setUseSingleCertificate(!pkiPath);
        signature.setSigCanonicalization(WSConstants.C14N_EXCL_OMIT_COMMENTS);
        signature.setSignatureAlgorithm(sha256 ? RSA_SHA256 : WSConstants.RSA_SHA1);
        signature.setDigestAlgo(sha256 ? WSConstants.SHA256 : WSConstants.SHA1);
        signature.setParts(parts(message));
        signature.build(message, crypto(), header);
    }

    private static List<WSEncryptionPart> parts(Document message) {
        List<WSEncryptionPart> parts = new ArrayList<>();
        parts.add(new WSEncryptionPart("Timestamp", WSConstants.WSU_NS, ""));
        parts.add(new WSEncryptionPart("Body", Soap.ENVELOPE, ""));
        for (Element block : Soap.blocks(message)) {
            parts.add(new WSEncryptionPart(block.getLocalName(), block.getNamespaceURI(), ""));
        }
        return parts;
    }

    /** What a message's one signature says: whose it is, and what it covers. */
    static final class Verified {
        final X509Certificate[] chain;
        final Set<Element> signed = new HashSet<>();

        private Verified(X509Certificate[] chain) {
            this.chain = chain;
        }

        String identity() {
            return GridTrust.identity(chain);
        }
    }

    /** Refuses a message unless one trusted signature covers its Body, its Timestamp and every header block. */
    Verified verify(Document message) throws Exception {
        WSSecurityEngine engine = new WSSecurityEngine();
        engine.setWssConfig(config);
        List<WSSecurityEngineResult> results =
                engine.processSecurityHeader(message, null, null, new Merlin(), new Merlin());
        if (results == null) {
            throw new WSSecurityException("no wsse:Security header");
        }
        Verified verified = signature(results);
        Element security = Soap.child(Soap.header(message), Soap.WSSE, "Security");
        List<Element> wanted = Soap.blocks(message);
        wanted.add(Soap.body(message));
        wanted.add(Soap.child(security, WSConstants.WSU_NS, "Timestamp"));
        for (Element e : wanted) {
            if (!verified.signed.contains(e)) {
                throw new WSSecurityException("not signed: " + (e == null ? "Timestamp, which is missing" : e.getNodeName()));
            }
        }
        return verified;
    }

    @SuppressWarnings("unchecked")
    private static Verified signature(List<WSSecurityEngineResult> results) throws WSSecurityException {
        Verified verified = null;
        for (WSSecurityEngineResult r : results) {
            if ((Integer) r.get(WSSecurityEngineResult.TAG_ACTION) != WSConstants.SIGN) {
                continue;
            }
            if (verified != null) {
                throw new WSSecurityException("two signatures");
            }
            verified = new Verified((X509Certificate[]) r.get(WSSecurityEngineResult.TAG_X509_CERTIFICATES));
            for (WSDataRef ref : (List<WSDataRef>) r.get(WSSecurityEngineResult.TAG_DATA_REF_URIS)) {
                verified.signed.add(ref.getProtectedElement());
            }
        }
        if (verified == null) {
            throw new WSSecurityException("no signature");
        }
        return verified;
    }

    private Merlin crypto() throws Exception {
        Merlin merlin = new Merlin();
        merlin.setKeyStore(credential.getKeyStore());
        return merlin;
    }
}
