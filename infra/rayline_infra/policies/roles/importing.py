"""What HealthImaging may do in an import job."""

from rayline.names import IMPORT_PREFIX, IMPORT_RESULT_PREFIX, EstateNames
from rayline_infra.policies.documents import Statement
from rayline_infra.policies.keys import ENCRYPT_AND_DECRYPT
from rayline_infra.policies.roles.pieces import Granted, list_buckets, read_objects, use_keys, write_objects


def importing(names: EstateNames, granted: Granted) -> list[Statement]:
    return [
        read_objects("ReadBatches", "imports", names, IMPORT_PREFIX),
        read_objects("ReadResults", "imports", names, IMPORT_RESULT_PREFIX),
        write_objects("WriteResults", "imports", names, IMPORT_RESULT_PREFIX),
        list_buckets("ListBatches", names, "imports"),
        use_keys("UseKeys", granted, ENCRYPT_AND_DECRYPT, "deidentified"),
    ]
