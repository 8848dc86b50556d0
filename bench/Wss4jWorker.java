import com.sun.management.OperatingSystemMXBean;
import eu.emi.security.authn.x509.CrlCheckingMode;
import eu.emi.security.authn.x509.NamespaceCheckingMode;
import eu.emi.security.authn.x509.OCSPCheckingMode;
import eu.emi.security.authn.x509.OCSPParametes;
import eu.emi.security.authn.x509.ProxySupport;
import eu.emi.security.authn.x509.RevocationParameters;
import eu.emi.security.authn.x509.ValidationResult;
import eu.emi.security.authn.x509.X509Credential;
import eu.emi.security.authn.x509.impl.OpensslCertChainValidator;
import eu.emi.security.authn.x509.impl.PEMCredential;
import eu.emi.security.authn.x509.impl.ValidatorParams;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.transform.Transformer;
import javax.xml.transform.TransformerFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import org.apache.ws.security.WSConstants;
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

/**
 * Signs and verifies with WSS4J for as much CPU time as it is told, line by line, as worker.go does with gsigw: "OP DIGEST SECONDS
 * FILE" is answered with the number of messages, the CPU time of the process and the time by the clock in nanoseconds.
 *
 * <pre>
 * Wss4jWorker CREDENTIAL CA-DIRECTORY
 * </pre>
 */
public final class Wss4jWorker {
    private static final String SOAP = "http://schemas.xmlsoap.org/soap/envelope/";
    private static final String WSA = "http://schemas.xmlsoap.org/ws/2004/03/addressing";
    private static final int PARTS = 5;
    private static final int PATIENCE = 10; // as in worker.go

    private final DocumentBuilderFactory parsers = DocumentBuilderFactory.newInstance();
    private final TransformerFactory writers = TransformerFactory.newInstance();
    private final WSSConfig config = WSSConfig.getNewInstance();
    private final Merlin merlin = new Merlin();
    private final X509Credential credential;

    public static void main(String[] args) throws Exception {
        WSSConfig.init();
        Wss4jWorker worker = new Wss4jWorker(args[0], args[1]);
        System.out.println("WSS4J " + WSSConfig.class.getPackage().getImplementationVersion() + ", Java " + System.getProperty("java.version"));
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] word = line.split(" ", 4);
            worker.run(word[0], word[1].equals("sha256"), Double.parseDouble(word[2]), Files.readAllBytes(Paths.get(word[3])));
        }
    }

    private Wss4jWorker(String credentialFile, String caDirectory) throws Exception {
        parsers.setNamespaceAware(true);
        credential = new PEMCredential(credentialFile, (char[]) null);
        merlin.setKeyStore(credential.getKeyStore());
        config.setWsiBSPCompliant(false);
        config.setTimeStampTTL(86400);
        OpensslCertChainValidator canl = new OpensslCertChainValidator(caDirectory, NamespaceCheckingMode.EUGRIDPMA_GLOBUS, -1,
                new ValidatorParams(new RevocationParameters(CrlCheckingMode.IF_VALID, new OCSPParametes(OCSPCheckingMode.IGNORE)),
                        ProxySupport.ALLOW));
        config.setValidator(WSSecurityEngine.SIGNATURE, (signer, data) -> {
            ValidationResult result = canl.validate(signer.getCertificates());
            if (!result.isValid()) {
                throw new WSSecurityException("canl refuses the chain: " + result.getErrors());
            }
            return signer;
        });
    }

    private void run(String op, boolean sha256, double seconds, byte[] message) throws Exception {
        Callable<?> job = op.equals("sign") ? () -> sign(message, sha256) : () -> verify(message);
        OperatingSystemMXBean process = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        System.gc();
        long cpu = process.getProcessCpuTime();
        long start = System.nanoTime();
        long n = 0;
        while (n == 0 || process.getProcessCpuTime() - cpu < seconds * 1e9 && System.nanoTime() - start < PATIENCE * seconds * 1e9) {
            job.call();
            n++;
        }
        System.out.println(n + " " + (process.getProcessCpuTime() - cpu) + " " + (System.nanoTime() - start));
    }

    private Document parse(byte[] message) throws Exception {
        return parsers.newDocumentBuilder().parse(new ByteArrayInputStream(message));
    }

    private byte[] sign(byte[] message, boolean sha256) throws Exception {
        Document document = parse(message);
        WSSecHeader header = new WSSecHeader();
        header.setMustUnderstand(true);
        header.insertSecurityHeader(document);
        WSSecTimestamp timestamp = new WSSecTimestamp(config);
        timestamp.setTimeToLive(300);
        timestamp.build(document, header);
        WSSecSignature signature = new WSSecSignature(config);
        signature.setUserInfo(credential.getKeyAlias(), new String(credential.getKeyPassword()));
        signature.setKeyIdentifierType(WSConstants.BST_DIRECT_REFERENCE);
        signature.setUseSingleCertificate(false);
        signature.setSigCanonicalization(WSConstants.C14N_EXCL_OMIT_COMMENTS);
        signature.setSignatureAlgorithm(sha256 ? "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256" : WSConstants.RSA_SHA1);
        signature.setDigestAlgo(sha256 ? WSConstants.SHA256 : WSConstants.SHA1);
        signature.setParts(parts());
        signature.build(document, merlin, header);
        return write(document);
    }

    private static List<WSEncryptionPart> parts() {
        List<WSEncryptionPart> parts = new ArrayList<>();
        parts.add(new WSEncryptionPart("Timestamp", WSConstants.WSU_NS, ""));
        parts.add(new WSEncryptionPart("Body", SOAP, ""));
        for (String header : new String[] {"MessageID", "To", "Action"}) {
            parts.add(new WSEncryptionPart(header, WSA, ""));
        }
        return parts;
    }

    private byte[] write(Document document) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        Transformer writer = writers.newTransformer();
        writer.setOutputProperty("omit-xml-declaration", "yes");
        writer.transform(new DOMSource(document), new StreamResult(out));
        return out.toByteArray();
    }

    private Document verify(byte[] message) throws Exception {
        Document document = parse(message);
        WSSecurityEngine engine = new WSSecurityEngine();
        engine.setWssConfig(config);
        int signed = 0;
        for (WSSecurityEngineResult r : engine.processSecurityHeader(document, null, null, merlin, merlin)) {
            if (r.get(WSSecurityEngineResult.TAG_DATA_REF_URIS) instanceof List<?> references) {
                signed += references.size();
            }
        }
        if (signed != PARTS) {
            throw new IllegalStateException(signed + " parts are signed, not " + PARTS);
        }
        return document;
    }
}
