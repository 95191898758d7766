import java.time.Duration;
import java.util.List;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Kafka's consumer-perf without a consumer group: the same consumer with the same settings, but partitions are
 * assigned, so that a broker without group coordination can be measured too. Run it as a single source file:
 * java -cp 'libs/*' ConsumerPerf.java BOOTSTRAP TOPIC RECORDS. Prints: MB (2^20), records, seconds.
 */
public final class ConsumerPerf {
    public static void main(String[] arguments) {
        String topic = arguments[1];
        long wanted = Long.parseLong(arguments[2]);
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments[0]);
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        // What consumer-perf sets.
        settings.put("receive.buffer.bytes", "2097152");
        settings.put("max.partition.fetch.bytes", "1048576");
        settings.put("check.crcs", "false");
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
                    .map(info -> new TopicPartition(topic, info.partition()))
                    .collect(Collectors.toList());
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            read(consumer, wanted);
        }
    }

    private static void read(KafkaConsumer<byte[], byte[]> consumer, long wanted) {
        long records = 0;
        long bytes = 0;
        long began = System.nanoTime();
        long last = began;
        while (records < wanted && System.nanoTime() - last < Duration.ofSeconds(60).toNanos()) {
            ConsumerRecords<byte[], byte[]> polled = consumer.poll(Duration.ofMillis(100));
            for (ConsumerRecord<byte[], byte[]> record : polled) {
                records += 1;
                bytes += (record.key() == null ? 0 : record.key().length);
                bytes += (record.value() == null ? 0 : record.value().length);
            }
            if (!polled.isEmpty()) {
                last = System.nanoTime();
            }
        }
        if (records < wanted) {
            System.err.printf("only %d of %d records%n", records, wanted);
            System.exit(1);
        }
        System.out.printf("%.2f %d %.3f%n", bytes / 1048576.0, records, (last - began) / 1e9);
    }
}
