import java.security.Key;
import java.security.PublicKey;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import javax.crypto.KeyGenerator;
import org.apache.ws.security.message.WSSecHeader;
import org.apache.ws.security.message.token.DOMX509Data;
import org.apache.ws.security.message.token.DOMX509IssuerSerial;
import org.apache.ws.security.message.token.SecurityTokenReference;
import org.apache.xml.security.encryption.EncryptedData;
import org.apache.xml.security.encryption.EncryptedKey;
import org.apache.xml.security.encryption.ReferenceList;
import org.apache.xml.security.encryption.XMLCipher;
import org.apache.xml.security.keys.KeyInfo;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.Node;
import org.w3c.dom.NodeList;

/** Encrypts and decrypts with Santuario's XMLCipher, which knows the key transports that WSS4J 1.6 does not. */
final class DirectEncryption {
    private static final String XMLENC = "http://www.w3.org/2001/04/xmlenc#";

    private final Keys keys;

    DirectEncryption(Keys keys) {
        this.keys = keys;
    }

    /** Options: to (alias), cipher, transport, and with RSA-OAEP of XML Encryption 1.1 digest and mgf, all URIs. */
    String encrypt(Document message, Map<String, String> options) throws Exception {
        WSSecHeader header = new WSSecHeader();
        header.insertSecurityHeader(message);
        X509Certificate to = keys.certificate(options.get("to"));
        String cipher = options.get("cipher");
        Key session = generator(cipher).generateKey();

        XMLCipher data = XMLCipher.getInstance(cipher);
        data.init(XMLCipher.ENCRYPT_MODE, session);
        EncryptedData encrypted = data.getEncryptedData();
        encrypted.setId("ED-1");
        data.doFinal(message, Soap.body(message), true);

        Element key = encryptedKey(message, session, to, options);
        Element security = header.getSecurityHeader();
        security.insertBefore(key, security.getFirstChild());
        return "";
    }

    private static Element encryptedKey(
            Document message, Key session, X509Certificate to, Map<String, String> options) throws Exception {
        PublicKey recipient = to.getPublicKey();
        XMLCipher transport = options.containsKey("digest")
                ? XMLCipher.getInstance(options.get("transport"), null, options.get("digest"))
                : XMLCipher.getInstance(options.get("transport"));
        transport.init(XMLCipher.WRAP_MODE, recipient);
        EncryptedKey key = transport.encryptKey(message, session, options.get("mgf"), null);
        key.setId("EK-1");
        KeyInfo info = new KeyInfo(message);
        info.addUnknownElement(reference(message, to));
        key.setKeyInfo(info);
        ReferenceList list = transport.createReferenceList(ReferenceList.DATA_REFERENCE);
        list.add(list.newDataReference("#ED-1"));
        key.setReferenceList(list);
        return transport.martial(message, key);
    }

    private static Element reference(Document message, X509Certificate to) {
        DOMX509IssuerSerial name =
                new DOMX509IssuerSerial(message, to.getIssuerX500Principal().getName(), to.getSerialNumber());
        SecurityTokenReference reference = new SecurityTokenReference(message);
        reference.setX509Data(new DOMX509Data(message, name));
        reference.addWSSENamespace();
        return reference.getElement();
    }

    private static KeyGenerator generator(String cipher) throws Exception {
        if (cipher.endsWith("tripledes-cbc")) {
            return KeyGenerator.getInstance("DESede");
        }
        KeyGenerator aes = KeyGenerator.getInstance("AES");
        aes.init(Integer.parseInt(cipher.replaceAll(".*#aes(\\d+)-.*", "$1")));
        return aes;
    }

    /** Options: as (alias). Decrypts all that the EncryptedKeys of the header name. */
    String decrypt(Document message, Map<String, String> options) throws Exception {
        StringBuilder report = new StringBuilder();
        for (Element e : all(message, "EncryptedKey")) {
            XMLCipher transport = XMLCipher.getInstance();
            transport.init(XMLCipher.UNWRAP_MODE, keys.key(options.get("as")));
            EncryptedKey key = transport.loadEncryptedKey(message, e);
            for (Element reference : all(e, "DataReference")) {
                Element data = find(message, reference.getAttribute("URI").substring(1));
                report.append(open(message, transport, key, data));
            }
        }
        return report.toString();
    }

    private static String open(Document message, XMLCipher transport, EncryptedKey key, Element data) throws Exception {
        Node parent = data.getParentNode();
        XMLCipher cipher = XMLCipher.getInstance();
        cipher.init(XMLCipher.DECRYPT_MODE, null);
        String algorithm = cipher.loadEncryptedData(message, data).getEncryptionMethod().getAlgorithm();
        cipher.init(XMLCipher.DECRYPT_MODE, transport.decryptKey(key, algorithm));
        cipher.doFinal(message, data);
        return "decrypted in {" + parent.getNamespaceURI() + "}" + parent.getLocalName() + "\n";
    }

    private static List<Element> all(Node under, String name) {
        NodeList found = under instanceof Document
                ? ((Document) under).getElementsByTagNameNS(XMLENC, name)
                : ((Element) under).getElementsByTagNameNS(XMLENC, name);
        List<Element> elements = new ArrayList<>();
        for (int i = 0; i < found.getLength(); i++) {
            elements.add((Element) found.item(i));
        }
        return elements;
    }

    private static Element find(Document message, String id) {
        for (Element e : all(message, "EncryptedData")) {
            if (e.getAttribute("Id").equals(id)) {
                return e;
            }
        }
        throw new IllegalArgumentException("no EncryptedData with the Id " + id);
    }
}
